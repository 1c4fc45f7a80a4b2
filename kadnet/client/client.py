"""`Client`: one method for each verb, returning the shapes of `kadnet.shapes`.

Safe to use from several threads at once: it holds no connection between calls.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kadnet import shapes
from kadnet.client.connection import Cut, exchange, no_node
from kadnet.datadir import control_path, default_data_dir
from kadnet.errors import InputError, KadnetError, NoNode, TooBusy

T = TypeVar("T")

_NO_TIME = 1e6  # seconds, far over what a node waits; NaN is not below it either


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`timeout`: seconds for an answer, beside those that it was asked to wait. A put may wait 10 s for the first join
    and then walk past dead peers, which takes seconds each; a minute is for a node that hangs. `max_answer`: bytes; a
    full table is far below it. `poll`: seconds that a follower lets the node wait before it asks again, which is how it
    learns of one that hangs. `regain`: seconds between its tries when others have taken its place meanwhile."""

    timeout: float = 60.0
    max_answer: int = 16 * 2**20
    poll: float = 30.0
    regain: float = 0.5


class Client:
    """The node that runs on a data directory.

    Nothing is contacted before the first call. Each call raises NoNode when no node runs there (with how to start
    one), and else what the node raised.
    """

    def __init__(self, data_dir: str | Path | None = None, settings: ClientSettings | None = None) -> None:
        """`data_dir` None: that of KADNET_DATA_DIR, else the platform's folder for user data."""
        self.data_dir = Path(data_dir) if data_dir is not None else default_data_dir(os.environ)
        self._settings = settings or ClientSettings()

    def status(self) -> shapes.Status:
        """How the node fares."""
        return self._ask("GET", "status", None, lambda data: shapes.from_json(shapes.Status, data))

    def peers(self) -> list[shapes.Peer]:
        """Its live contacts."""
        return self._ask("GET", "peers", None, lambda data: shapes.list_from_json(shapes.Peer, data))

    def table(self) -> list[shapes.Bucket]:
        """Its routing table, bucket by bucket."""
        return self._ask("GET", "table", None, lambda data: shapes.list_from_json(shapes.Bucket, data))

    def ping(self, who: str) -> shapes.Pong:
        """Ask a node (an ID or an address) whether it lives. Raises PeerUnreachable."""
        body = shapes.PingRequest(who)
        return self._ask("POST", "ping", body, lambda data: shapes.from_json(shapes.Pong, data))

    def lookup(self, target: str, *, paths: int = 1) -> shapes.Walked:
        """Walk towards a node (an ID or an address) or a key (what is typed after get), on so many paths (1 to 8)."""
        body = shapes.LookupRequest(target, paths)
        return self._ask("POST", "lookup", body, lambda data: shapes.from_json(shapes.Walked, data))

    def put(self, key: str, value: bytes, *, ttl: int | None = None, if_seq: int | None = None) -> shapes.Stored:
        """Publish `value` under `key` (as typed on the command line; "blob:" computes the address).

        `replicas` 0 is no error here: the record is kept and will be stored later. Raises InputError, Conflict.
        """
        text, encoding = shapes.encode_value(value)
        body = shapes.PutRequest(key, text, encoding, ttl, if_seq)
        return self._ask("POST", "put", body, lambda data: shapes.from_json(shapes.Stored, data))

    def get(self, key: str, *, stats: bool = False) -> shapes.Found:
        """The values under `key`, ours first; none is no error. Raises NotConnected when nobody could be asked."""
        body = shapes.GetRequest(key, stats)
        return self._ask("POST", "get", body, lambda data: shapes.from_json(shapes.Found, data))

    def send(self, who: str, text: str, *, wait: float = 10.0) -> shapes.Sent:
        """Send a message to a node (an ID, an address or a contact's name) and wait `wait` seconds for its delivery.

        It is in the node's outbox when this returns, and "queued" is no error: it is delivered when that is possible.
        Raises InputError.
        """
        body = shapes.SendRequest(who, text, wait)
        return self._ask("POST", "send", body, lambda data: shapes.from_json(shapes.Sent, data), longer=wait)

    def delivery(self, id: str, *, wait: float = 10.0) -> shapes.Sent:
        """Wait `wait` seconds for the delivery of a message sent before. Raises NotFound."""
        body = shapes.DeliveryRequest(id, wait)
        return self._ask("POST", "delivery", body, lambda data: shapes.from_json(shapes.Sent, data), longer=wait)

    def inbox(self, after: int = 0, limit: int = 1000, wait: float = 0.0) -> list[shapes.Message]:
        """Messages numbered above `after`, oldest first: at most `limit`, and as many as fit an answer.

        Ask again after the last one until there is none. Nothing is consumed. With none there the node waits up to
        `wait` seconds (at most 30) for the first to come.
        """
        return self._inbox(after, limit, wait, None)

    def follow(self, after: int = 0) -> Follow:
        """All messages numbered above `after`, then each new one as it comes. Raises NoNode when the node stops."""
        settings = self._settings
        return Follow(lambda number, cut: self._inbox(number, 1000, settings.poll, cut), after, settings.regain)

    def outbox(self) -> list[shapes.Outgoing]:
        """What is not delivered yet, oldest first."""
        found: list[shapes.Outgoing] = []
        while True:
            body = shapes.OutboxRequest(found[-1].number if found else 0)
            page = self._ask("POST", "outbox", body, lambda data: shapes.list_from_json(shapes.Outgoing, data))
            if not page:
                return found
            found += page

    def contacts(self) -> list[shapes.BookEntry]:
        """The names given to node IDs."""
        return self._ask("GET", "contacts", None, lambda data: shapes.list_from_json(shapes.BookEntry, data))

    def add_contact(self, name: str, who: str) -> shapes.BookEntry:
        """Name a node (an ID or an address). Raises InputError."""
        body = shapes.ContactRequest(name, who)
        return self._ask("POST", "contacts/add", body, lambda data: shapes.from_json(shapes.BookEntry, data))

    def remove_contact(self, name: str) -> shapes.BookEntry:
        """Forget a name, and return whose it was. Raises InputError."""
        body = shapes.NameRequest(name)
        return self._ask("POST", "contacts/remove", body, lambda data: shapes.from_json(shapes.BookEntry, data))

    def resolve(self, who: str) -> shapes.Who:
        """The ID that a contact's name, an address or an ID means. Raises InputError, PeerUnreachable."""
        body = shapes.ResolveRequest(who)
        return self._ask("POST", "resolve", body, lambda data: shapes.from_json(shapes.Who, data))

    def _inbox(self, after: int, limit: int, wait: float, cut: Cut | None) -> list[shapes.Message]:
        body = shapes.InboxRequest(after, limit, wait)
        read = partial(shapes.list_from_json, shapes.Message)
        return self._ask("POST", "inbox", body, read, longer=wait, cut=cut)

    def _ask(
        self,
        method: str,
        verb: str,
        body: Any,
        read: Callable[[Any], T],
        *,
        longer: float = 0.0,
        cut: Cut | None = None,
    ) -> T:
        """`longer`: seconds that the node was asked to wait; it refuses what is no time at once."""
        answer = exchange(
            control_path(self.data_dir),
            method,
            f"/v1/{verb}",
            None if body is None else shapes.to_json(body),
            timeout=self._settings.timeout + (longer if 0 <= longer < _NO_TIME else 0),
            max_answer=self._settings.max_answer,
            absent=lambda how: no_node(how, self.data_dir, default=self._is_default()),
            cut=cut,
        )
        try:
            return read(answer)
        except InputError as error:
            raise KadnetError(f"the node answered what this client cannot read: {error}") from None

    def _is_default(self) -> bool:
        try:
            return self.data_dir == default_data_dir(os.environ)
        except KadnetError:
            return False


class Follow(Iterator[shapes.Message]):
    """Messages without an end. `number` is that of the last one taken; `close` ends it, from any thread."""

    def __init__(self, page: Callable[[int, Cut], list[shapes.Message]], after: int, pause: float) -> None:
        """`pause`: seconds between tries to get our place back."""
        self.number = after
        self._pause = pause
        self._stands = False
        self._page = page
        self._waiting: deque[shapes.Message] = deque()
        self._cut = Cut()

    def __next__(self) -> shapes.Message:
        while not self._cut.done:
            if self._waiting:
                message = self._waiting.popleft()
                self.number = message.number
                return message
            try:
                self._waiting.extend(self._page(self.number, self._cut))
                self._stands = True
            except NoNode:
                if not self._cut.done:
                    raise
            except TooBusy:  # between two polls a newcomer may have taken the place of one who stands
                if not self._stands:
                    raise
                self._cut.wait(self._pause)
        raise StopIteration

    def close(self) -> None:
        """End the iteration; a thread that waits for the next message goes on at once."""
        self._cut()
