"""`Client`: one method for each verb, returning the shapes of `kadnet.shapes`.

Safe to use from several threads at once: it holds no connection between calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kadnet import shapes
from kadnet.client.connection import exchange, no_node
from kadnet.datadir import control_path, default_data_dir
from kadnet.errors import InputError, KadnetError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`timeout`: seconds for an answer. A put may wait 10 s for the first join and then walk past dead peers, which
    takes seconds each; a minute is for a node that hangs. `max_answer`: bytes; a full table is far below it."""

    timeout: float = 60.0
    max_answer: int = 16 * 2**20


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

    def lookup(self, target: str) -> shapes.Walked:
        """Walk towards a node (an ID or an address) or a key (what is typed after get)."""
        body = shapes.LookupRequest(target)
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

    def _ask(self, method: str, verb: str, body: Any, read: Callable[[Any], T]) -> T:
        answer = exchange(
            control_path(self.data_dir),
            method,
            f"/v1/{verb}",
            None if body is None else shapes.to_json(body),
            timeout=self._settings.timeout,
            max_answer=self._settings.max_answer,
            absent=lambda how: no_node(how, self.data_dir, default=self._is_default()),
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
