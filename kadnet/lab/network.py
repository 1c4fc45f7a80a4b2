"""A virtual internet in one process: hosts and NAT boxes, latency, loss, cuts and dead machines, on one heap.

Everything that travels is an entry of one `Pump`, so a run is a sequence of (time, serial) and repeats itself. Every
datagram has one of three ends, and the books must balance (`Accounting`). Observers see each packet and its fate;
filters decide it; the trace is one hash over all that was sent.

A datagram passes, in this order: the NAT box of its sender, the filters, the sender's line, cuts, chance (`loss`), the
way itself (latency, jitter, reordering, duplication), the NAT box and the line of its receiver, and its inbox.

Each host is a `Network`, so the code under test is the code that ships. Addresses are what a test says they are: every
host reaches every address, private ones too, except those behind a NAT box. Left out: fragments (too large a datagram
is refused) and routers.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import trio

from kadnet.errors import InputError
from kadnet.identity import address
from kadnet.identity.address import Endpoint, Scope
from kadnet.lab.books import Accounting, Fate, PacketEvent, Trace
from kadnet.lab.dial import Called
from kadnet.lab.host import VirtualNetwork, is_group
from kadnet.lab.nat import NatBox, NatOptions
from kadnet.lab.options import NetworkOptions
from kadnet.lab.pipes import Line
from kadnet.lab.routes import Routes
from kadnet.lab.sockets import VirtualDatagrams
from kadnet.lab.station import Station, are_near
from kadnet.pump import Pump, Timer


class _Datagram(NamedTuple):
    sender: VirtualNetwork
    source: Endpoint
    """As it is outside of the sender's NAT box."""
    target: Endpoint
    data: bytes

    @property
    def size(self) -> int:
        """Bytes with the headers of IPv6 or IPv4, and UDP."""
        return len(self.data) + (48 if ":" in self.target.host else 28)


class VirtualInternet:
    """All hosts and all that is on its way between them."""

    def __init__(self, options: NetworkOptions, rng: random.Random, now: Callable[[], float], pump: Pump) -> None:
        self.options = options
        self.now = now
        self.pump = pump
        self.trace = Trace()
        self.accounting = Accounting()
        self.observers: list[Callable[[PacketEvent], object]] = []
        self.filters: list[Callable[[PacketEvent], bool]] = []
        """Each is shown a packet that sets out; one that answers False loses it (a segment is tried again later).

        What one of them or an observer raises ends the block of `virtual_internet`.
        """
        self._rng = rng
        self._routes = Routes()
        self._cuts: set[tuple[str, str]] = set()
        self._fault: Exception | None = None

    # What a test does to it.

    def host(
        self, name: str, addresses: Sequence[str] = ("10.0.0.1",), *, behind: NatBox | None = None
    ) -> VirtualNetwork:
        """A new machine. A name or address may be taken again once its host was killed: a restart.

        `behind` a NAT box its addresses are private ones, which mean something to the others behind that box alone.
        """
        canonical = tuple(address.endpoint(each, 0).host for each in addresses)
        for each in canonical:
            self._routes.check_free(each, behind)
            if behind is not None and (":" in each or address.scope(each) is not Scope.PRIVATE):
                raise InputError(f"{each} is no private IPv4 address, as a host behind a NAT box has")
        place = self.options.latency.place(name) if behind is None else behind.place
        host = VirtualNetwork(self, name, canonical, place=place, line=Line(self.options), box=behind)
        self._routes.add(host)
        return host

    def nat(
        self,
        name: str,
        public_address: str,
        kind: str = "endpoint-independent",
        *,
        mapping_lifetime: float = 120.0,
        hairpin: bool = True,
        max_mappings: int = 4096,
    ) -> NatBox:
        """A NAT box; see `kadnet.lab.nat` for its kinds, `NatOptions` for the rest. Raises InputError as that does."""
        outside = address.endpoint(public_address, 0).host
        if ":" in outside:
            raise InputError(f"{outside} is an IPv6 address: a NAT box has an IPv4 address")
        self._routes.check_free(outside, None)
        options = NatOptions(kind, mapping_lifetime, hairpin, max_mappings)
        box = NatBox(name, outside, self.options.latency.place(name), options)
        self._routes.add_box(box)
        return box

    def host_at(self, at: str) -> VirtualNetwork:
        """The living host outside of NAT boxes that has an address; KeyError when nobody has."""
        return self._routes.outside[at]

    def name(self, name: str, host: VirtualNetwork | NatBox) -> None:
        """Let `name` resolve to the addresses of `host`."""
        self._routes.set_name(name, host.addresses)

    def kill(self, host: VirtualNetwork) -> None:
        """A power cut: the host's ports and connections are gone and nobody is told. What it would send is not sent."""
        host.die()
        self._routes.remove(host)

    def pause(self, host: VirtualNetwork) -> None:
        """Its programs stand still, as stopped processes do; its system goes on.

        Nothing they would send leaves: datagrams are refused (`send` says False), what they write to connections stays
        until `resume`. What comes waits in their inboxes and windows; callers are connected until the backlog is full.
        """
        host.paused = host.alive

    def resume(self, host: VirtualNetwork) -> None:
        """Undo `pause`: what waited is handed over."""
        host.resume()

    def cut(self, a: VirtualNetwork, b: VirtualNetwork, one_way: bool = False) -> None:
        """Nothing gets from `a` to `b` (nor back, unless `one_way`), by host name: it outlasts a restart."""
        self._cuts.add((a.name, b.name))
        if not one_way:
            self._cuts.add((b.name, a.name))

    def heal(self, a: VirtualNetwork, b: VirtualNetwork) -> None:
        """Undo `cut` in both directions."""
        self._cuts -= {(a.name, b.name), (b.name, a.name)}

    def partition(self, a: Sequence[VirtualNetwork], b: Sequence[VirtualNetwork], one_way: bool = False) -> None:
        """Cut every host of `a` off from every host of `b`. `heal_all` undoes it, and every other cut."""
        both = {each.name for each in a} & {each.name for each in b}
        if both:
            raise ValueError(f"{min(both)} stands on both sides of the partition")
        for each in a:
            for other in b:
                self.cut(each, other, one_way)

    def heal_all(self) -> None:
        self._cuts.clear()

    # What its hosts and streams ask of it.

    def after(self, delay: float, fn: Callable[[], object]) -> Timer:
        return self.pump.call_at(self.now() + delay, fn)

    def latency(self, a: Station, b: Station | NatBox | None) -> float:
        if a is b:
            return self.options.local_latency
        if b is None:
            return self.options.latency.median_round_trip / 2
        return self.options.lan_latency if are_near(a, b) else self.options.latency.between(a.place, b.place)

    def lookup_name(self, name: str) -> tuple[str, ...]:
        return self._routes.named(name)

    def answering(self, caller: Station, at: Endpoint) -> Called | None:
        assert isinstance(caller, VirtualNetwork)
        called, inside = self._routes.find(caller, at.host), at
        if isinstance(called, NatBox):
            forwarded = called.forwarded_to(at.port)
            if forwarded is None or (caller.box is called and not called.options.hairpin):
                return None
            called, inside = self._routes.inside(called, forwarded.host), forwarded
        return None if called is None else Called(called, inside, called.listener_at(inside))

    def calls_from(self, caller: Station, source: Endpoint, target: Endpoint) -> Endpoint:
        box = self._routes.box_between(caller, target)
        return source if box is None else box.connection()

    def carry(self, sender: VirtualNetwork, source: Endpoint, target: Endpoint, data: bytes) -> bool:
        """Send a datagram on its way. False: its own host refused it for its size."""
        datagram = _Datagram(sender, source, target, data)
        if datagram.size > self.options.mtu:
            return False
        if is_group(target.host):
            members = [
                (host, port)
                for host in dict.fromkeys(self._routes.realm(sender).values())
                if host is sender or host.shares_lan(source.host)
                for port in host.members(target)
            ]
            for member, port in members:
                self._set_out(datagram, member, partial(self._hand_over, datagram, port))
            if not members:
                self._set_out(datagram, None, partial(self._hand_over, datagram, None))
            return True
        box = self._routes.box_between(sender, target)
        if box is not None:
            outside = box.outgoing(source, target, self.now())
            if outside is None:
                self._note(datagram)
                self._lose("nat", datagram)
                return True
            datagram = datagram._replace(source=outside)
        called = self._routes.find(sender, target.host)
        if isinstance(called, NatBox):
            called = self._routes.inside(called, called.behind(target.port)) or called
        self._set_out(datagram, called, partial(self._arrive, datagram))
        return True

    def _set_out(
        self, datagram: _Datagram, called: VirtualNetwork | NatBox | None, arrive: Callable[[], object]
    ) -> None:
        sender, options = datagram.sender, self.options
        event = self._note(datagram)
        if event is not None and not self._let_through(event):
            self._lose("filter", datagram)
            return
        leaves: float | None = self.now()
        if sender.line.up is not None and not are_near(sender, called) and not is_group(datagram.target.host):
            leaves = sender.line.up.offer(datagram.size, self.now())
        if leaves is None:
            self._lose("line", datagram)
        elif called is not None and (sender.name, called.name) in self._cuts:
            self._lose("cut", datagram)
        elif options.loss and self._rng.random() < options.loss:
            self._lose("chance", datagram)
        else:
            latency = self.latency(sender, called)
            self._fly(leaves, latency, arrive)
            if options.duplication and self._rng.random() < options.duplication:
                self.accounting.duplicated += 1
                self._fly(leaves, latency, arrive)

    def _fly(self, leaves: float, latency: float, arrive: Callable[[], object]) -> None:
        options = self.options
        if options.jitter:
            latency += self._rng.uniform(0.0, options.jitter)
        if options.reordering and self._rng.random() < options.reordering:
            latency += self._rng.uniform(0.0, options.reorder_by)
        self.accounting.in_flight += 1
        self.pump.call_at(leaves + latency, arrive)

    def _arrive(self, datagram: _Datagram) -> None:
        called, at = self._routes.find(datagram.sender, datagram.target.host), datagram.target
        if isinstance(called, NatBox):
            inside = None
            if called.options.hairpin or datagram.sender.box is not called:
                inside = called.incoming(at.port, datagram.source, self.now())
            if inside is None:
                self.accounting.in_flight -= 1
                self._lose("nat", datagram)
                return
            called, at = self._routes.inside(called, inside.host), inside
        if called is None or called.line.down is None or are_near(datagram.sender, called):
            self._hand_over(datagram, None if called is None else called.port_at(at))
            return
        through = called.line.down.offer(datagram.size, self.now())
        if through is None:
            self.accounting.in_flight -= 1
            self._lose("line", datagram)
        else:
            host = called
            self.pump.call_at(through, lambda: self._hand_over(datagram, host.port_at(at)))

    def _hand_over(self, datagram: _Datagram, port: VirtualDatagrams | None) -> None:
        self.accounting.in_flight -= 1
        if port is None or port.closed:
            self.accounting.nobody += 1
            self._report(Fate.NOBODY, datagram)
        elif port.put(datagram.data, datagram.source):
            self.accounting.delivered += 1
            self._report(Fate.DELIVERED, datagram)
        else:
            self._lose("full", datagram)

    def segment_departs(self, source: Endpoint, target: Endpoint, data: bytes) -> None:
        now = self.now()
        self.accounting.segments += 1
        self.trace.note(now, source, target, data)
        if self.observers:
            self._tell(PacketEvent(now, "segment", Fate.SENT, source, target, data))

    def segment_passes(
        self, sender: Station, called: Station, source: Endpoint, target: Endpoint, data: bytes, *, bare: bool = False
    ) -> bool:
        """Whether a segment that should arrive now does. At the address of a dead host that was restarted, it does.

        A `bare` one is an acknowledgement, which was never written down as sent: observers are not told of it.
        """
        there = called if called.alive else self._routes.heir(called)
        if there is None or (sender.name, there.name) in self._cuts:
            return False
        if self.observers or self.filters:
            event = PacketEvent(self.now(), "segment", Fate.DELIVERED, source, target, data)
            if not self._let_through(event):
                return False
            if not bare:
                self._tell(event)
        return True

    def _note(self, datagram: _Datagram) -> PacketEvent | None:
        """Write down that it was sent; the event, when anybody looks."""
        now = self.now()
        self.accounting.sent += 1
        self.trace.note(now, datagram.source, datagram.target, datagram.data)
        if not (self.observers or self.filters):
            return None
        event = PacketEvent(now, "datagram", Fate.SENT, datagram.source, datagram.target, datagram.data)
        self._tell(event)
        return event

    def _lose(self, why: str, datagram: _Datagram) -> None:
        self.accounting.lost += 1
        self.accounting.lost_by[why] += 1
        self._report(Fate.LOST, datagram)

    def _report(self, fate: Fate, datagram: _Datagram) -> None:
        if self.observers:
            self._tell(PacketEvent(self.now(), "datagram", fate, datagram.source, datagram.target, datagram.data))

    def _tell(self, event: PacketEvent) -> None:
        for observer in self.observers:
            self._ask(observer, event)

    def _let_through(self, event: PacketEvent) -> bool:
        return all(self._ask(passes, event) for passes in self.filters)

    def _ask(self, function: Callable[[PacketEvent], object], event: PacketEvent) -> object:
        """What an observer or a filter says. What it raises ends the run, and the node that sends is told nothing.

        That node would take an OSError for a fault of the network, and go on.
        """
        try:
            return function(event)
        except Exception as error:  # noqa: BLE001  # whatever a test's own function raises; the pump raises it again
            error.add_note(f"raised by an observer or filter of the virtual internet: {function!r}")
            if self._fault is None:
                self._fault = error
                self.pump.call_at(self.now(), self.raise_fault)
            return True

    def raise_fault(self) -> None:
        """Raise, once, what an observer or a filter has raised."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault


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
            internet.raise_fault()  # of the last moment, before the pump had a turn
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__
