"""A virtual internet in one process: hosts with addresses, latency, loss, cuts and dead machines, on one heap.

Everything that travels is an entry of one `Pump`, so a run is a sequence of (time, serial) and repeats itself. Every
datagram has one of three ends, and the books must balance: sent = delivered + lost + nobody + in flight. Observers see
each packet and its fate; filters decide it; the trace is one hash over all that was sent.

Each host is a `Network`, so the code under test is the code that ships. Addresses are what a test says they are: every
host reaches every address, private ones too. Left out: bandwidth, fragments (too large a datagram is refused), routers
and NAT.
"""

from __future__ import annotations

import enum
import hashlib
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from kadnet.identity import address
from kadnet.identity.address import Endpoint
from kadnet.lab.host import VirtualNetwork, is_group
from kadnet.lab.sockets import VirtualDatagrams
from kadnet.pump import Pump, Timer


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    one_way_latency: float = 0.05
    """Seconds from any host to any other: a round trip of 100 ms, a common one between continents."""
    local_latency: float = 0.00005
    """Seconds from a host to itself."""
    jitter: float = 0.0
    """Datagrams take up to this many seconds longer, by chance; streams keep their order and do not."""
    loss: float = 0.0
    """The part of datagrams lost by chance. Streams repair loss and do not see it."""
    mtu: int = 1500
    """Bytes of a packet with its headers; a datagram that does not fit one is refused by its own host."""
    inbox: int = 1024
    """Datagrams a port keeps for a program that does not read: about what 1 MiB holds on a real host."""
    batch: int = 64
    """Datagrams handed over at once."""
    segment: int = 16_384
    """Bytes of one stream segment: larger than a real one, which costs a test less and shows the program no more."""
    window: int = 262_144
    """Bytes of one connection and direction that may be on the way or unread before the sender has to wait."""
    resend: float = 1.0
    """Seconds between attempts to get a segment through a cut."""
    stream_timeout: float = 924.0
    """Seconds without an answer after which a sender's connection is broken: Linux's tcp_retries2."""
    connect_retries: int = 6
    """Knocks after the first, each after twice the wait; the last is given up after 127 s: Linux's tcp_syn_retries."""
    backlog: int = 128
    """Callers that wait for `accept`; a knock beyond is not heard."""


class Fate(enum.Enum):
    SENT = "sent"
    DELIVERED = "delivered"
    LOST = "lost"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class PacketEvent:
    """One thing that happened to one packet, at a virtual time. A segment without data opens, ends or resets."""

    time: float
    kind: str  # "datagram" or "segment"
    fate: Fate
    source: Endpoint
    target: Endpoint
    data: bytes


@dataclass(slots=True)
class Accounting:
    """The books of datagrams (of a group's datagram each copy counts) and of stream segments."""

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    nobody: int = 0
    in_flight: int = 0
    segments: int = 0
    lost_by: Counter[str] = field(default_factory=Counter)
    """Why datagrams were lost: "chance", "cut", "filter", "full"."""


class Trace:
    """A hash over everything sent: (time, from, to, bytes), in order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def note(self, now: float, source: Endpoint, target: Endpoint, data: bytes) -> None:
        ends = f"{source.host} {source.port} {target.host} {target.port}".encode()
        self._hash.update(struct.pack(">dHI", now, len(ends), len(data)) + ends + data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class VirtualInternet:
    """All hosts and all that is on its way between them."""

    def __init__(self, options: NetworkOptions, rng: random.Random, now: Callable[[], float], pump: Pump) -> None:
        self.options = options
        self.now = now
        self.pump = pump
        self.trace = Trace()
        self.accounting = Accounting()
        self.observers: list[Callable[[PacketEvent], None]] = []
        self.filters: list[Callable[[PacketEvent], bool]] = []
        """Each is shown a packet that sets out; one that answers False loses it (a segment is tried again later)."""
        self._rng = rng
        self._hosts: dict[str, VirtualNetwork] = {}  # by address, living ones
        self._names: dict[str, tuple[str, ...]] = {}
        self._cuts: set[tuple[str, str]] = set()

    # What a test does to it.

    def host(self, name: str, addresses: Sequence[str] = ("10.0.0.1",)) -> VirtualNetwork:
        """A new machine. A name or address may be taken again once its host was killed: a restart."""
        canonical = tuple(address.endpoint(each, 0).host for each in addresses)
        taken = [each for each in canonical if each in self._hosts]
        if taken:
            raise ValueError(f"{taken[0]} is the address of {self._hosts[taken[0]].name}")
        host = VirtualNetwork(self, name, canonical)
        self._hosts.update(dict.fromkeys(canonical, host))
        return host

    def name(self, name: str, host: VirtualNetwork) -> None:
        """Let `name` resolve to the addresses of `host`."""
        self._names[name.lower()] = host.addresses

    def kill(self, host: VirtualNetwork) -> None:
        """A power cut: the host's ports and connections are gone and nobody is told. What it would send is not sent."""
        host.die()
        for each in host.addresses:
            if self._hosts.get(each) is host:
                del self._hosts[each]

    def cut(self, a: VirtualNetwork, b: VirtualNetwork, one_way: bool = False) -> None:
        """Nothing gets from `a` to `b` (nor back, unless `one_way`), by host name: it outlasts a restart."""
        self._cuts.add((a.name, b.name))
        if not one_way:
            self._cuts.add((b.name, a.name))

    def heal(self, a: VirtualNetwork, b: VirtualNetwork) -> None:
        """Undo `cut` in both directions."""
        self._cuts -= {(a.name, b.name), (b.name, a.name)}

    # What its hosts and streams ask of it.

    def after(self, delay: float, fn: Callable[[], object]) -> Timer:
        return self.pump.call_at(self.now() + delay, fn)

    def latency(self, a: VirtualNetwork, b: VirtualNetwork | None) -> float:
        return self.options.local_latency if a is b else self.options.one_way_latency

    def lookup_name(self, name: str) -> tuple[str, ...]:
        return self._names.get(name.lower(), ())

    def find(self, caller: VirtualNetwork, host: str) -> VirtualNetwork | None:
        """The living host that `caller` reaches at an address."""
        if host in ("127.0.0.1", "::1"):
            return caller if caller.alive else None
        return self._hosts.get(host)

    def carry(self, sender: VirtualNetwork, source: Endpoint, target: Endpoint, data: bytes) -> bool:
        """Send a datagram on its way. False: its own host refused it for its size."""
        headers = 48 if ":" in target.host else 28  # IPv6 or IPv4, and UDP
        if len(data) + headers > self.options.mtu:
            return False
        if not is_group(target.host):
            self._set_out(sender, source, target, data, partial(self._arrive, sender, source, target, data))
            return True
        members: list[VirtualDatagrams | None] = [
            port
            for host in dict.fromkeys(self._hosts.values())
            if host is sender or host.shares_lan(source.host)
            for port in host.members(target)
        ]
        for port in members or [None]:
            self._set_out(sender, source, target, data, partial(self._hand_over, source, target, data, port))
        return True

    def _set_out(
        self, sender: VirtualNetwork, source: Endpoint, target: Endpoint, data: bytes, arrive: Callable[[], object]
    ) -> None:
        books = self.accounting
        books.sent += 1
        now = self.now()
        self.trace.note(now, source, target, data)
        called = self.find(sender, target.host)
        if self.observers or self.filters:
            event = PacketEvent(now, "datagram", Fate.SENT, source, target, data)
            self._tell(event)
            if not all(passes(event) for passes in self.filters):
                self._lose("filter", source, target, data)
                return
        if called is not None and (sender.name, called.name) in self._cuts:
            self._lose("cut", source, target, data)
        elif self.options.loss and self._rng.random() < self.options.loss:
            self._lose("chance", source, target, data)
        else:
            books.in_flight += 1
            delay = self.latency(sender, called)
            if self.options.jitter:
                delay += self._rng.uniform(0.0, self.options.jitter)
            self.pump.call_at(now + delay, arrive)

    def _lose(self, why: str, source: Endpoint, target: Endpoint, data: bytes) -> None:
        self.accounting.lost += 1
        self.accounting.lost_by[why] += 1
        self._report(Fate.LOST, source, target, data)

    def _arrive(self, sender: VirtualNetwork, source: Endpoint, target: Endpoint, data: bytes) -> None:
        called = self.find(sender, target.host)
        self._hand_over(source, target, data, called.port_at(target) if called is not None else None)

    def _hand_over(self, source: Endpoint, target: Endpoint, data: bytes, port: VirtualDatagrams | None) -> None:
        self.accounting.in_flight -= 1
        if port is None or port.closed:
            self.accounting.nobody += 1
            self._report(Fate.NOBODY, source, target, data)
        elif port.put(data, source):
            self.accounting.delivered += 1
            self._report(Fate.DELIVERED, source, target, data)
        else:
            self._lose("full", source, target, data)

    def segment_departs(self, source: Endpoint, target: Endpoint, data: bytes) -> None:
        now = self.now()
        self.accounting.segments += 1
        self.trace.note(now, source, target, data)
        if self.observers:
            self._tell(PacketEvent(now, "segment", Fate.SENT, source, target, data))

    def segment_passes(
        self, sender: VirtualNetwork, called: VirtualNetwork, source: Endpoint, target: Endpoint, data: bytes
    ) -> bool:
        """Whether a segment that should arrive now does. At the address of a dead host that was restarted, it does."""
        there = self.find(sender, target.host)
        if there is None or (sender.name, there.name) in self._cuts:
            return False
        if self.observers or self.filters:
            event = PacketEvent(self.now(), "segment", Fate.DELIVERED, source, target, data)
            if not all(passes(event) for passes in self.filters):
                return False
            self._tell(event)
        return True

    def _report(self, fate: Fate, source: Endpoint, target: Endpoint, data: bytes) -> None:
        if self.observers:
            self._tell(PacketEvent(self.now(), "datagram", fate, source, target, data))

    def _tell(self, event: PacketEvent) -> None:
        for observer in self.observers:
            observer(event)


@asynccontextmanager
async def virtual_internet(options: NetworkOptions | None = None, *, seed: int = 0) -> AsyncIterator[VirtualInternet]:
    """A virtual internet with a pump of its own, turned while the block runs.

    What the body raises leaves bare, not wrapped in the group of the nursery that turns the pump.
    """
    pump = Pump(trio.current_time)
    rng = random.Random(f"kadnet lab internet {seed}")
    internet = VirtualInternet(options or NetworkOptions(), rng, trio.current_time, pump)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(pump.run)
            yield internet
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__
