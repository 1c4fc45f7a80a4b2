"""The face of chat: what a node says and hears."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from kadnet.apps.chat import protocol
from kadnet.apps.chat.book import Book
from kadnet.apps.chat.delivery import Delivery
from kadnet.apps.chat.inbox import Bell, Inbox
from kadnet.apps.chat.mailbox import Counts, Kept, Mailbox, Message, Outgoing, Receipt
from kadnet.apps.chat.protocol import Body, Proof
from kadnet.apps.chat.schema import MIGRATIONS
from kadnet.apps.chat.settings import ChatSettings
from kadnet.errors import InputError, ProtocolError, StorageFailed
from kadnet.identity import nodeid
from kadnet.identity.address import Address, parse_address
from kadnet.metrics import Reasons

if TYPE_CHECKING:
    from kadnet.host import Host

_LAST_NUMBER = 2**63 - 1


class Chat:
    """An app: messages to node IDs. Usable once `run` has started; RuntimeError before."""

    name = "chat"

    def __init__(self, settings: ChatSettings | None = None) -> None:
        """`settings` given here win over the section [chat] of config.toml."""
        self._given = settings
        self._parts: _Parts | None = None

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver and receive until cancelled. DataDirError when chat.db is damaged or cannot be opened."""
        parts = _Parts(host, self._given or host.settings("chat", ChatSettings))
        async with trio.open_nursery() as nursery:
            await nursery.start(parts.delivery.run)
            host.handle(protocol.NAME, parts.on_request, max_body=parts.settings.max_text + protocol.ENVELOPE)
            self._parts = parts
            task_status.started()

    async def send(self, to: bytes, text: str, *, address: Address | None = None) -> Receipt:
        """`post` a message and wait for what its first attempt comes to: "delivered", or "queued" with the problem.

        Cancelling the wait takes nothing back.
        """
        return await self.attempted((await self.post(to, text, address=address)).id)

    async def post(self, to: bytes, text: str, *, address: Address | None = None) -> Receipt:
        """Put a text for a node into our outbox, on the disk; `address` says where to look for the node first.

        From then on it is tried until it is delivered, also by the next process. Raises InputError (the text, the
        recipient, a full outbox) and StorageFailed, and then has queued nothing.
        """
        parts = self._open
        if not nodeid.is_valid(to):
            raise InputError(f"a message goes to a node ID, and these {len(to)} bytes are none")
        if to == parts.host.id:
            raise InputError("that is this node itself: a message goes to another one")
        if address is not None:
            if address.id not in (None, to):
                raise InputError("the address is that of another node than the one the message is for")
            address = parse_address(str(Address(to, address.host, address.port)), need_id=True)
        protocol.utf8(text, parts.settings.max_text)
        runtime = parts.host.runtime
        body = Body(runtime.entropy(protocol.ID_SIZE), protocol.unix_seconds(runtime.wall()), text)
        return await parts.delivery.post(body, to, address)

    def receipt(self, id: bytes) -> Receipt:
        """How a message of ours stands. NotFound for an id that was never sent, or was delivered long ago."""
        if not isinstance(id, bytes):
            raise InputError(f"a message is named by its id, {protocol.ID_SIZE} bytes, not {type(id).__name__}")
        return self._open.delivery.receipt(id)

    async def attempted(self, id: bytes) -> Receipt:
        """Wait until a message of ours was tried once. NotFound as above."""
        return await self._open.delivery.attempted(id)

    async def delivered(self, id: bytes) -> Receipt:
        """Wait until a message of ours is delivered. NotFound as above."""
        return await self._open.delivery.delivered(id)

    @asynccontextmanager
    async def messages(self, *, after: int = 0) -> AsyncIterator[Inbox]:
        """Messages numbered above `after`, and then each new one as it comes.

        async with chat.messages() as inbox:
            async for message in inbox: ...

        Nothing is consumed and nothing is lost to a slow reader. Raises InputError for a bad number, or when there are
        too many readers.
        """
        parts = self._open
        _check_number(after)
        if parts.readers >= parts.settings.readers:
            raise InputError(f"{parts.readers} readers follow the inbox, and no more can", hint="end one of them")
        inbox = Inbox(after, lambda number: parts.mailbox.messages_after(number, parts.settings.page), parts.bell)
        parts.readers += 1
        try:
            yield inbox
        finally:
            parts.readers -= 1
            inbox.close()

    def inbox(self, *, after: int = 0, limit: int = 1000) -> list[Message]:
        """Up to `limit` (at most 1,000) messages numbered above `after`, oldest first."""
        _check_page(after, limit)
        return self._open.mailbox.messages_after(after, limit)

    def outbox(self, *, after: int = 0, limit: int = 1000) -> list[Outgoing]:
        """Up to `limit` (at most 1,000) messages numbered above `after` that are not delivered yet, oldest first."""
        _check_page(after, limit)
        parts = self._open
        now, wall = parts.host.runtime.now(), parts.host.runtime.wall()

        def next_at(recipient: bytes) -> float | None:
            due = parts.delivery.next_try(recipient)
            return None if due is None else wall + max(0.0, due - now)

        return parts.mailbox.outgoing(next_at, after=after, limit=limit)

    def counts(self) -> Counts:
        """How many messages were received, and how many wait."""
        return self._open.mailbox.counts()

    @property
    def book(self) -> Book:
        """The contacts."""
        return self._open.book

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise RuntimeError("chat does not run yet")
        return self._parts


class _Parts:
    """What stands when chat runs."""

    def __init__(self, host: Host, settings: ChatSettings) -> None:
        database = host.database("chat", MIGRATIONS, precious=True)
        self.host = host
        self.settings = settings
        self.counters: Reasons = host.counters("chat")
        self.mailbox = Mailbox(database, settings)
        self.book = Book(database, settings, host.runtime.wall)
        self.delivery = Delivery(host, self.mailbox, self.book, settings, self.counters)
        self.bell = Bell()
        self.readers = 0

    async def on_request(self, peer: bytes, data: bytes) -> bytes:
        """A message of a peer's: keep it, then sign that we have it. The same message gets the same receipt again."""
        try:
            body = protocol.decode(data, self.settings.max_text)
            kept = await self.mailbox.receive(peer, body, protocol.unix_seconds(self.host.runtime.wall()), self._kept)
        except ProtocolError as error:
            self.counters.add(f"refused-{error.reason}")
            raise
        except StorageFailed:
            self.counters.add("refused-storage-failed")
            raise
        self.delivery.heard(peer, self.host.runtime.now(), unasked=True)
        signed = protocol.signed_data(peer, self.host.id, body.id, kept.received_at, body.text.encode())
        return protocol.encode_receipt(Proof(kept.received_at, self.host.sign(protocol.RECEIPT, signed)))

    def _kept(self, kept: Kept) -> None:
        self.counters.add("received" if kept.new else "repeated")
        if kept.new:
            self.bell.ring()


def _check_page(after: int, limit: int) -> None:
    _check_number(after)
    if type(limit) is not int or not 1 <= limit <= 1000:
        raise InputError(f"limit is a whole number from 1 to 1000, not {limit!r:.40}")


def _check_number(after: int) -> None:
    if type(after) is not int or not 0 <= after <= _LAST_NUMBER:
        raise InputError(f"after is the number of a message, not {after!r:.40}")
