"""What the tests of the overlay share: a small virtual world, a peer who speaks the wire by hand, and records."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import trio

from kadnet.host import Host, open_host
from kadnet.identity.address import Endpoint
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.revalidation import RevalidationSettings
from kadnet.kademlia.table import TableSettings
from kadnet.lab import EPOCH, VirtualInternet, VirtualNetwork, VirtualWall, run, virtual_internet, virtual_runtime
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.transport import Datagrams
from kadnet.wire import packets
from kadnet.wire.keys import Key
from kadnet.wire.kinds import DAY
from kadnet.wire.messages import (
    ANSWER_OF,
    PADDED,
    PADDED_PING,
    REQUESTS,
    SERVES,
    Answer,
    Carried,
    FindNode,
    FindValue,
    Message,
    Ping,
    Pong,
    Request,
    Store,
    Stored,
    decode,
    encode,
    encode_padded,
)
from kadnet.wire.records import Entry, Record, blob, sign_entry

P = ParamSpec("P")

PORT = 7420
PUBLIC = bytes(32)
NEVER = 1e9
"""For a pace that a test does not want to see."""

CALM = Tuning(table=TableSettings(revalidation=RevalidationSettings(fast_interval=600.0)))
"""For tests of days: contacts are asked every few minutes whether they live, not every few seconds."""


def identity(name: str) -> Identity:
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


def ids_nearest(key: bytes, count: int, *, among: int = 400, word: str = "near") -> list[str]:
    """Names whose identities lie nearest to `key`, nearest first."""
    target = int.from_bytes(key, "big")
    names = [f"{word} {number}" for number in range(among)]
    return sorted(names, key=lambda n: Contact(identity(n).public, Endpoint("1.1.1.1", 1)).position ^ target)[:count]


def entry(
    publisher: str,
    value: bytes | None = b"v",
    *,
    key: Key | None = None,
    seq: int = 1,
    lease: int = DAY,
    expires: float | None = None,
    network: bytes = PUBLIC,
) -> Record:
    """A signed record of `publisher`, under the shared name "x" unless told otherwise."""
    key = key or Key.shared("x")
    who = identity(publisher)
    until = int(EPOCH + lease if expires is None else expires)
    return sign_entry(who, key.kind, Entry(who.public, key.name_hash, seq, until, lease, value), network)


def carried(record: Record, remaining: int = DAY, cached: bool = False) -> Carried:
    return Carried(record.kind, record.payload, record.signature, remaining, cached)


def a_blob(number: int, size: int = 20) -> Record:
    return blob(number.to_bytes(4, "big") + bytes(size - 4))


class RawPeer:
    """Somebody at an endpoint who seals and opens by hand, and answers nothing unless `behave` does.

    `inbox`: (datagram, message or None, source), in the order of arrival.
    """

    def __init__(self, socket: Datagrams, who: Identity, network: bytes) -> None:
        self.socket = socket
        self.identity = who
        self.network = network
        self.inbox: list[tuple[bytes, Message | None, Endpoint]] = []
        self.behave: Callable[[Request, Contact], object] | None = None
        self._serial = 0
        self._channels: dict[bytes, packets.Channel] = {}

    @property
    def contact(self) -> Contact:
        return Contact(self.identity.public, self.socket.local)

    def channel(self, other: bytes) -> packets.Channel:
        if other not in self._channels:
            self._channels[other] = packets.Channel(self.identity, other, self.network)
        return self._channels[other]

    def fresh_id(self) -> bytes:
        self._serial += 1
        return self._serial.to_bytes(8, "big")

    def nonce(self) -> bytes:
        return self.fresh_id() * 3

    def seal(self, plain: bytes, to: bytes) -> bytes:
        return self.channel(to).seal(plain, self.nonce())

    def send(self, message: Message, to: Contact, *, padded: bool | None = None) -> int:
        """Send a message as a node would; the bytes of the datagram. `padded` None: as the protocol says."""
        if isinstance(message, (Ping, FindNode, FindValue, Store)) and padded is not False and not message.token:
            plain = encode_padded(message, PADDED_PING if isinstance(message, Ping) else PADDED)
        else:
            plain = encode(message)
        datagram = self.seal(plain, to.id)
        self.socket.send(datagram, to.endpoint)
        return len(datagram)

    def messages(self, kind: type[Message] | None = None) -> list[Any]:
        return [
            message for _, message, _ in self.inbox if message is not None and (kind is None or type(message) is kind)
        ]

    async def ask(self, request: Request, to: Contact, *, padded: bool | None = None) -> Any:
        """The answer to a request, or None after two virtual seconds."""
        self.send(request, to, padded=padded)
        for _ in range(200):
            await trio.sleep(0.01)
            for message in self.messages(ANSWER_OF[type(request)]):
                if message.id == request.id:
                    return message
        return None

    async def token(self, to: Contact, *, serves: bool = False) -> bytes:
        pong = await self.ask(Ping(self.fresh_id(), SERVES if serves else 0, b""), to)
        assert isinstance(pong, Pong)
        return pong.token

    async def store(self, record: Record, to: Contact, *, remaining: int = DAY, cached: bool = False) -> Stored:
        request = Store(self.fresh_id(), SERVES, await self.token(to), carried(record, remaining, cached))
        answer = await self.ask(request, to)
        assert isinstance(answer, Stored)
        return answer

    async def find(self, key: bytes, to: Contact, *, own_seq: int = -1, after: bytes = b"", token: bytes = b"") -> Any:
        return await self.ask(FindValue(self.fresh_id(), 0, token, key, own_seq, after), to)

    async def receive(self) -> None:
        while True:
            for data, source in await self.socket.receive():
                message = None
                if data[1] == packets.SEALED:
                    message = decode(self.channel(packets.sender_of(data)).open(data))
                self.inbox.append((data, message, source))
                if self.behave is not None and type(message) in REQUESTS:
                    sender = Contact(packets.sender_of(data), source)
                    self.behave(message, sender)  # type: ignore[arg-type]  # it is in REQUESTS

    def reply(self, answer: Answer, to: Contact) -> None:
        self.send(answer, to)


class Lab:
    """A virtual internet and the nodes on it."""

    def __init__(self, internet: VirtualInternet, nursery: trio.Nursery) -> None:
        self.internet = internet
        self.nursery = nursery
        self.walls: dict[str, VirtualWall] = {}
        self._scopes: dict[str, tuple[VirtualNetwork, trio.CancelScope, trio.Event]] = {}
        self._starts = 0

    async def node(
        self,
        name: str,
        ip: str,
        *bootstrap: Host | str,
        settings: OverlaySettings | None = None,
        tuning: Tuning | None = None,
        data_dir: Path | None = None,
        join: bool | None = None,
    ) -> Host:
        """Start a node, and wait until it has joined when it has somebody to join by (unless `join` says)."""
        machine = self.internet.host(name, [ip])
        wall = self.walls.setdefault(name, VirtualWall())
        self._starts += 1
        runtime = virtual_runtime(machine, self._starts, name, wall=wall)
        scope, ended = trio.CancelScope(), trio.Event()

        async def live(task_status: trio.TaskStatus[Host]) -> None:
            try:
                with scope:
                    async with open_host(
                        runtime,
                        data_dir=data_dir,
                        identity=None if data_dir is not None else identity(name),
                        bootstrap=[each if isinstance(each, str) else str(each.address) for each in bootstrap],
                        listen=f"{ip}:{PORT}",
                        overlay=settings,
                        tuning=tuning,
                    ) as host:
                        task_status.started(host)
                        await trio.sleep_forever()
            finally:
                ended.set()

        host: Host = await self.nursery.start(live)
        self._scopes[name] = machine, scope, ended
        if join or (join is None and bootstrap):
            with trio.fail_after(30):
                await host.overlay.joined()
        return host

    async def overlay(self, count: int, *, word: str = "n", **options: Any) -> list[Host]:
        """`count` nodes, each in a /24 of its own, joined by the first."""
        nodes: list[Host] = []
        for number in range(count):
            nodes.append(await self.node(f"{word}{number}", f"10.0.{number}.1", *nodes[:1], **options))
        return nodes

    async def stop(self, name: str, *, crash: bool = False) -> None:
        """End a node in an orderly way, or by a power cut; its name and address are free again."""
        machine, scope, ended = self._scopes.pop(name)
        if crash:
            self.internet.kill(machine)
        scope.cancel()
        await ended.wait()
        if not crash:
            self.internet.kill(machine)

    def machine(self, ip: str) -> VirtualNetwork:
        """The living machine at an address."""
        return self.internet.host_at(ip)

    async def raw(self, name: str, ip: str, *, network: bytes = PUBLIC, port: int = PORT) -> RawPeer:
        machine = self.internet.host(name, [ip])
        peer = RawPeer(await machine.datagrams(Endpoint(ip, port)), identity(name), network)
        self.nursery.start_soon(peer.receive)
        return peer


@asynccontextmanager
async def open_lab(seed: int = 1) -> AsyncIterator[Lab]:
    """A lab for the length of the block. What the body raises leaves bare."""
    left: BaseException | None = None
    async with virtual_internet(seed=seed) as internet, trio.open_nursery() as nursery:
        try:
            yield Lab(internet, nursery)
        except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
            left = error
        nursery.cancel_scope.cancel()
    if left is not None:
        raise left


def in_lab(test: Callable[Concatenate[Lab, P], Awaitable[None]]) -> Callable[P, None]:
    """Make a test of a coroutine that takes a `Lab` first; it runs on virtual time, repeatably."""

    @wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            async with open_lab() as lab:
                await test(lab, *args, **kwargs)

        run(main, seed=1)

    signature = inspect.signature(test)
    del wrapper.__wrapped__  # or pytest would look for a fixture called lab
    without_lab = list(signature.parameters.values())[1:]
    wrapper.__signature__ = signature.replace(parameters=without_lab)  # type: ignore[attr-defined]  # for inspect
    return wrapper


def contact_of(host: Host) -> Contact:
    return Contact(host.identity.public, Endpoint(host.address.host, host.address.port))


def fill(host: Host, contacts: Sequence[Contact]) -> None:
    """Put contacts into a node's table as if they had answered it."""
    for contact in contacts:
        host.overlay.neighbours.answered(contact, 0.1, True, trio.current_time())


def values(outcome: Any) -> set[bytes]:
    return {found.value for found in outcome.entries}
