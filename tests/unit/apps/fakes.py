"""Hosts without rooms: apps joined directly, each with its own database, on virtual time.

A `Wire` carries requests from one `FakeHost` to another and can be told what goes wrong on the way. The rest of the
seam is as the real host's: handlers' errors become codes, databases run their own writer.
"""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import trio

from kadnet import config
from kadnet.apps.chat import Chat, ChatSettings
from kadnet.errors import KadnetError, LinkLost, PeerRefused, PeerUnreachable, ProtocolError, meaning
from kadnet.events import Event
from kadnet.identity.address import Address
from kadnet.identity.keys import Identity, verify
from kadnet.lab import Entropy, VirtualWall
from kadnet.metrics import Reasons
from kadnet.runtime import Offload, Runtime
from kadnet.storage import Database
from tests.unit.overlay.bench import inline
from tests.unit.overlay.builders import identity

T = TypeVar("T")
OnRequest = Callable[[bytes, bytes], Awaitable[bytes]]


class Sent(NamedTuple):
    """One request, as it left. `who`: what it was sent to; `at`: virtual seconds."""

    at: float
    sender: str
    recipient: str
    who: bytes | Address
    body: bytes


@dataclass
class Wire:
    """What goes wrong. `unreachable`: nodes by name; `answers_lost`: how many answers get lost although their request
    was done; `refused`: what a node answers to everything; `silent`: nodes that take requests and never answer.
    `delay`: seconds, each way.
    """

    unreachable: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    answers_lost: int = 0
    delay: float = 0.0
    hosts: dict[bytes, FakeHost] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def carry(self, sender: FakeHost, who: bytes | Address, protocol: str, body: bytes) -> bytes:
        id = who.id if isinstance(who, Address) else who
        assert id is not None
        name = self.names.get(id, "nobody")
        self.sent.append(Sent(trio.current_time(), sender.name, name, who, body))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._carried(sender.id, id, name, protocol, body)
        finally:
            self.under_way -= 1

    async def _carried(self, sender: bytes, id: bytes, name: str, protocol: str, body: bytes) -> bytes:
        await trio.sleep(self.delay)
        if id not in self.hosts or name in self.unreachable:
            raise PeerUnreachable(f"{name} was not found")
        if name in self.silent:
            await trio.sleep_forever()
        if name in self.refused:
            raise PeerRefused(f"{name} refused", reason=self.refused[name])
        answer = await self.hosts[id].answer(sender, protocol, body)
        await trio.sleep(self.delay)
        if self.answers_lost > 0:
            self.answers_lost -= 1
            raise LinkLost(f"the link to {name} broke")
        return answer

    def times(self, recipient: str) -> list[float]:
        """When requests left for a node."""
        return [sent.at for sent in self.sent if sent.recipient == recipient]


class FakeHost:
    """The seam, for one app of a test."""

    def __init__(
        self,
        wire: Wire,
        who: Identity,
        name: str,
        nursery: trio.Nursery,
        *,
        folder: Path | None = None,
        offload: Offload = inline,
        tables: dict[str, Any] | None = None,
        restarts: int = 0,
    ) -> None:
        self.name = name
        self.id = who.public
        self.wall = VirtualWall()
        self.runtime = Runtime(
            now=trio.current_time,
            wall=self.wall,
            rng=random.Random(name),
            entropy=Entropy(restarts, name),
            offload=offload,
            network=cast(Any, None),
        )
        self.opened: Database | None = None
        self.reasons = Reasons()
        self.watched: list[bytes] = []
        self._wire = wire
        self._identity = who
        self._nursery = nursery
        self._folder = folder
        self._tables = tables or {}
        self._handlers: dict[str, tuple[OnRequest, int]] = {}
        self._listeners: list[tuple[trio.MemorySendChannel[Event], tuple[type[Event], ...]]] = []

    def handle(self, protocol: str, on_request: OnRequest, *, concurrent: int = 16, max_body: int = 65_536) -> None:
        assert concurrent <= 16
        self._handlers[protocol] = on_request, max_body

    def watch_for(self, node_id: bytes) -> None:
        self.watched.append(node_id)

    async def request(self, who: bytes | Address, protocol: str, body: bytes) -> bytes:
        return await self._wire.carry(self, who, protocol, body)

    async def answer(self, peer: bytes, protocol: str, body: bytes) -> bytes:
        """What a request of a peer comes to, as the peer sees it."""
        if protocol not in self._handlers:
            raise PeerRefused(f"{self.name} does not speak {protocol}", reason="no-protocol")
        on_request, max_body = self._handlers[protocol]
        if len(body) > max_body:
            raise PeerRefused("too large", reason="too-large")
        try:
            return await on_request(peer, body)
        except ProtocolError as error:
            raise PeerRefused(f"{self.name} refused: {error.reason}", reason=error.reason) from None
        except KadnetError as error:
            raise PeerRefused(f"{self.name} refused", reason=meaning(error).code) from None

    @asynccontextmanager
    async def events(self, *kinds: type[Event]) -> AsyncIterator[AsyncIterator[Event]]:
        send, receive = trio.open_memory_channel[Event](256)
        self._listeners.append((send, kinds or (Event,)))
        try:
            yield receive
        finally:
            self._listeners.remove((send, kinds or (Event,)))

    def publish(self, event: Event) -> None:
        for listener, kinds in self._listeners:
            if isinstance(event, kinds):
                listener.send_nowait(event)

    def sign(self, purpose: str, data: bytes) -> bytes:
        return self._identity.sign(purpose.encode() + b"/1" + data)

    def verify(self, signer: bytes, purpose: str, data: bytes, signature: bytes) -> bool:
        return verify(signer, purpose.encode() + b"/1" + data, signature)

    def database(self, name: str, migrations: Sequence[str], *, precious: bool = False) -> Database:
        path = None if self._folder is None else self._folder / f"{name}.db"
        assert precious
        self.opened = Database(path, migrations, offload=self.runtime.offload, precious=precious)
        self.opened._writer.execute("PRAGMA synchronous = OFF")  # processes die in these tests, machines do not
        self._nursery.start_soon(self.opened.run)
        return self.opened

    def settings(self, name: str, cls: type[T]) -> T:
        return config.section(self._tables, name, cls)

    def counters(self, name: str) -> Reasons:
        assert name == "chat"
        return self.reasons

    def fail_writes(self, *, failing: bool = True) -> None:
        """The disk takes nothing more, or does again."""
        assert self.opened is not None
        self.opened._writer.execute(f"PRAGMA query_only = {'ON' if failing else 'OFF'}")


@dataclass
class Person:
    """One node of a test that chats."""

    name: str
    host: FakeHost
    chat: Chat

    @property
    def id(self) -> bytes:
        return self.host.id

    def texts(self) -> list[str]:
        return [message.text for message in self.chat.inbox()]

    def waiting(self) -> list[str]:
        return [outgoing.text for outgoing in self.chat.outbox()]


@asynccontextmanager
async def open_chat(
    wire: Wire,
    name: str,
    *,
    folder: Path | None = None,
    settings: ChatSettings | None = None,
    offload: Offload = inline,
    tables: dict[str, Any] | None = None,
    restarts: int = 0,
) -> AsyncIterator[Person]:
    """A node with chat for the length of the block; another of the same name and folder is the same one restarted."""
    who = identity(name)
    host: FakeHost | None = None
    try:
        async with trio.open_nursery() as writers:
            host = FakeHost(wire, who, name, writers, folder=folder, offload=offload, tables=tables, restarts=restarts)
            async with trio.open_nursery() as nursery:
                chat = Chat(settings)
                await nursery.start(chat.run, host)
                wire.hosts[who.public], wire.names[who.public] = host, name
                yield Person(name, host, chat)
                wire.hosts.pop(who.public, None)
                nursery.cancel_scope.cancel()
            writers.cancel_scope.cancel()
    finally:
        if host is not None and host.opened is not None:
            host.opened.close()
