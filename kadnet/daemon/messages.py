"""The verbs of messages and contacts in shapes.

What waits here waits for the node alone: `waits` ends it when the client has gone or the node stops. No HTTP.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from kadnet import shapes
from kadnet.apps.chat import BookEntry, Message, Outgoing, Receipt
from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.identity.address import Address

T = TypeVar("T", shapes.Message, shapes.Outgoing)

_LARGEST = 2**63 - 1  # as far as SQLite counts


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """`page`: messages in one answer; `page_bytes`: of their texts in UTF-8. JSON may write a byte as six characters,
    and a client takes 16 MiB. `longest_poll`: seconds; a client asks again, so a node that hangs is noticed.
    `longest_wait`: seconds for a delivery; who waits longer is better off with the outbox."""

    page: int = 1000
    page_bytes: int = 2**20
    longest_poll: float = 30.0
    longest_wait: float = 3600.0


class ChatFace(Protocol):
    """What the daemon needs of a node that carries messages; `kadnet.node.Node` has it."""

    async def resolve(self, who: str | bytes | Address, /) -> bytes: ...
    async def post(self, who: str | bytes | Address, text: str, /) -> Receipt: ...
    async def delivered(self, id: bytes, /) -> Receipt: ...
    def receipt(self, id: bytes, /) -> Receipt: ...
    def inbox(self, *, after: int = 0, limit: int = 1000) -> list[Message]: ...
    def messages(self, *, after: int = 0) -> AbstractAsyncContextManager[AsyncIterator[Message]]: ...
    def outbox(self, *, after: int = 0, limit: int = 1000) -> list[Outgoing]: ...
    def contacts(self) -> list[BookEntry]: ...
    async def add_contact(self, name: str, who: str, /) -> BookEntry: ...
    async def remove_contact(self, name: str, /) -> BookEntry: ...
    def name_of(self, id: bytes, /) -> str | None: ...


class MessageVerbs:
    """The verbs of one node's chat."""

    def __init__(self, node: ChatFace, settings: MessageSettings | None = None) -> None:
        self._node = node
        self._settings = settings or MessageSettings()

    async def resolve(self, request: shapes.ResolveRequest) -> shapes.Who:
        id = await self._node.resolve(_text(request.who, "recipient"))
        return shapes.Who(nodeid.encode(id), self._node.name_of(id))

    async def post(self, request: shapes.SendRequest) -> shapes.Sent:
        """Into the outbox, and no more: to wait for the delivery is the caller's."""
        self.patience(request.wait)
        return _sent(await self._node.post(_text(request.who, "recipient"), _text(request.text, "message")))

    def patience(self, wait: float) -> float:
        """The seconds that a request wants to wait for a delivery. InputError when they are none."""
        return _seconds(wait, self._settings.longest_wait)

    async def delivered(self, id: str) -> shapes.Sent:
        """Wait until the message with this ID is delivered."""
        return _sent(await self._node.delivered(_id(id)))

    def sent(self, id: str) -> shapes.Sent:
        """What has become of a message by now. NotFound when none with this ID was sent from here."""
        return _sent(self._node.receipt(_id(id)))

    async def inbox(self, request: shapes.InboxRequest) -> list[shapes.Message]:
        """What is there, oldest first. Whoever wants more asks again behind the last number, until there is none."""
        _seconds(request.wait, self._settings.longest_poll)
        limit = min(_count(request.limit, "limit", least=1), self._settings.page)
        found = self._node.inbox(after=_count(request.after, "after"), limit=limit)
        return self._page(_message(item, self._node.name_of(item.sender)) for item in found)

    async def coming(self, request: shapes.InboxRequest) -> list[shapes.Message]:
        """`inbox` as soon as it has something, at the latest after `wait` seconds."""
        with trio.move_on_after(_seconds(request.wait, self._settings.longest_poll)):
            async with self._node.messages(after=_count(request.after, "after")) as stream:
                async for _ in stream:
                    break
        return await self.inbox(request)

    async def outbox(self, request: shapes.OutboxRequest) -> list[shapes.Outgoing]:
        """What is not delivered yet, oldest first; more behind the last number."""
        found = self._node.outbox(after=_count(request.after, "after"), limit=self._settings.page)
        return self._page(_outgoing(item, self._node.name_of(item.recipient)) for item in found)

    async def contacts(self) -> list[shapes.BookEntry]:
        return [_contact(entry) for entry in self._node.contacts()]

    async def add_contact(self, request: shapes.ContactRequest) -> shapes.BookEntry:
        name, who = _text(request.name, "name"), _text(request.who, "node")
        return _contact(await self._node.add_contact(name, who))

    async def remove_contact(self, request: shapes.NameRequest) -> shapes.BookEntry:
        return _contact(await self._node.remove_contact(_text(request.name, "name")))

    def _page(self, found: Iterable[T]) -> list[T]:
        """As much as one answer may hold, and at least one."""
        taken: list[T] = []
        size = 0
        for item in found:
            size += len(item.text.encode())
            if taken and (size > self._settings.page_bytes or len(taken) == self._settings.page):
                break
            taken.append(item)
        return taken


def _sent(receipt: Receipt) -> shapes.Sent:
    return shapes.Sent(receipt.id.hex(), receipt.state, receipt.problem)


def _message(message: Message, name: str | None) -> shapes.Message:
    return shapes.Message(
        number=message.number,
        id=message.id.hex(),
        sender=nodeid.encode(message.sender),
        text=message.text,
        sent_at=message.sent_at,
        received_at=message.received_at,
        name=name,
    )


def _outgoing(outgoing: Outgoing, name: str | None) -> shapes.Outgoing:
    return shapes.Outgoing(
        number=outgoing.number,
        id=outgoing.id.hex(),
        recipient=nodeid.encode(outgoing.recipient),
        text=outgoing.text,
        sent_at=outgoing.sent_at,
        attempts=outgoing.attempts,
        problem=outgoing.problem,
        next_at=outgoing.next_at,
        name=name,
    )


def _contact(entry: BookEntry) -> shapes.BookEntry:
    return shapes.BookEntry(entry.name, nodeid.encode(entry.id), entry.address, entry.added_at)


def _text(value: str, what: str) -> str:
    """JSON can carry half a surrogate pair; nothing behind this can."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"the {what} is not text that UTF-8 can carry") from None
    return value


def _seconds(wait: float, longest: float) -> float:
    if not 0 <= wait <= longest:  # NaN too: Python's JSON lets it through
        raise InputError(f"wait is 0 to {longest:g} seconds, not {wait:g}")
    return wait


def _count(number: int, what: str, *, least: int = 0) -> int:
    if not least <= number <= _LARGEST:
        raise InputError(f"{what} is a whole number from {least}, not {number}")
    return number


def _id(text: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise InputError("a message's ID is 32 hexadecimal digits")
    return bytes.fromhex(text)
