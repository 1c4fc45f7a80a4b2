"""The messages of a node that are what a test makes them: nothing is sent, a test delivers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import trio
import trio.testing

from kadnet.apps.chat import BookEntry, Message, Outgoing, Receipt
from kadnet.errors import InputError, NotFound
from kadnet.identity import nodeid
from kadnet.identity.address import Address
from kadnet.identity.keys import Identity

BOB = Identity.from_seed(bytes([2]) * 32)
EVE = Identity.from_seed(bytes([3]) * 32)
MAX_TEXT = 4096


class FakeChat:
    """`offline`: what is sent stays in the outbox, for this reason ("": none is known yet), until `deliver`. `come`
    puts a message into the inbox."""

    def __init__(self) -> None:
        self.offline: str | None = None
        self.book: dict[str, BookEntry] = {}
        self.receipts: dict[bytes, Receipt] = {}
        self.posted: list[tuple[bytes, str]] = []
        self.waiting: dict[bytes, Outgoing] = {}
        self.came: list[Message] = []
        self.readers = 0
        self.polls = 0
        self.delivering = 0
        self._news = trio.Condition()

    async def resolve(self, who: str | bytes | Address) -> bytes:
        assert isinstance(who, str)
        await trio.lowlevel.checkpoint()
        if who in self.book:
            return self.book[who].id
        if re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", who):
            raise InputError(f"there is no contact {who!r}", hint="see: kadnet contact list")
        return nodeid.decode(who.removeprefix("kadnet://").partition("@")[0])

    async def post(self, who: str | bytes | Address, text: str) -> Receipt:
        recipient = await self.resolve(who)
        if not text or len(text.encode()) > MAX_TEXT:
            raise InputError(f"a message has 1 to {MAX_TEXT} bytes of text", hint="send it in parts")
        number = len(self.posted) + 1
        id = number.to_bytes(16, "big")
        self.posted.append((recipient, text))
        problem = self.offline or None
        self.waiting[id] = Outgoing(number, id, recipient, text, 1_700_000_000, 2, problem, 1_700_000_004.5)
        self.receipts[id] = Receipt(id, recipient, "queued", problem, None)
        if self.offline is None:
            await self.deliver(id)
            return replace(self.receipts[id], state="queued", received_at=None)
        return self.receipts[id]

    async def deliver(self, id: bytes) -> None:
        del self.waiting[id]
        self.receipts[id] = replace(self.receipts[id], state="delivered", problem=None, received_at=1_700_000_001)
        async with self._news:
            self._news.notify_all()

    async def delivered(self, id: bytes) -> Receipt:
        self.delivering += 1
        try:
            async with self._news:
                while self.receipt(id).state == "queued":
                    await self._news.wait()
        finally:
            self.delivering -= 1
        return self.receipts[id]

    def receipt(self, id: bytes) -> Receipt:
        if id not in self.receipts:
            raise NotFound("no such message was sent from here")
        return self.receipts[id]

    async def polled(self, times: int) -> None:
        """Wait until the inbox was waited for so often: a follower has then shown all that came before."""
        while self.polls < times or not self.readers:
            await trio.testing.wait_all_tasks_blocked(0.005)

    async def come(self, sender: bytes, text: str, *, sent_at: int = 1_700_000_000) -> None:
        number = len(self.came) + 1
        self.came.append(Message(number, number.to_bytes(16, "big"), sender, text, sent_at, 1_700_000_000 + number))
        async with self._news:
            self._news.notify_all()

    def inbox(self, *, after: int = 0, limit: int = 1000) -> list[Message]:
        return [message for message in self.came if message.number > after][:limit]

    @asynccontextmanager
    async def messages(self, *, after: int = 0) -> AsyncIterator[AsyncIterator[Message]]:
        self.readers += 1
        self.polls += 1
        try:
            async with aclosing(self._from(after)) as stream:
                yield stream
        finally:
            self.readers -= 1

    async def _from(self, after: int) -> AsyncGenerator[Message, None]:
        while True:
            async with self._news:
                while not self.inbox(after=after):
                    await self._news.wait()
            for message in self.inbox(after=after):
                after = message.number
                yield message

    def outbox(self, *, after: int = 0, limit: int = 1000) -> list[Outgoing]:
        return [item for item in self.waiting.values() if item.number > after][:limit]

    def contacts(self) -> list[BookEntry]:
        return [self.book[name] for name in sorted(self.book)]

    async def add_contact(self, name: str, who: str) -> BookEntry:
        if not re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", name):
            raise InputError("a contact's name has 1 to 32 of a-z, 0-9, - and _", hint="like: bob")
        address = who if "@" in who else None
        self.book[name] = BookEntry(name, await self.resolve(who), address, 1_700_000_000)
        return self.book[name]

    async def remove_contact(self, name: str) -> BookEntry:
        if name not in self.book:
            raise InputError(f"there is no contact {name!r}", hint="see: kadnet contact list")
        return self.book.pop(name)

    def name_of(self, id: bytes) -> str | None:
        return next((entry.name for entry in self.book.values() if entry.id == id), None)
