"""Virtual TCP: connections whose bytes arrive after the network's latency, in order, or not at all.

Modelled: the three-way handshake and its retries, refusal, back-pressure by a window, half-close, reset, and what a
cut or a dead host does to a connection (segments wait, are tried again every second, and after the system's timeout
the *sender* learns that it is broken; who only listens learns nothing).

Left out: bandwidth and congestion, and one thing travels faster than the network: the sender learns at once that the
receiver has read, so a window's worth of bytes moves per latency and not per round trip.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from kadnet.identity.address import Endpoint

if TYPE_CHECKING:
    from kadnet.lab.host import VirtualNetwork
    from kadnet.lab.network import VirtualInternet


class _OneAtATime:
    """Refuses a second task inside the same half of a stream, as trio's own streams do."""

    __slots__ = ("_busy", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._busy = False

    def __enter__(self) -> None:
        if self._busy:
            raise trio.BusyResourceError(f"another task is {self._what} this stream")
        self._busy = True

    def __exit__(self, *exc: object) -> None:
        self._busy = False


class VirtualStream(trio.abc.HalfCloseableStream):
    """One end of a virtual connection."""

    def __init__(self, internet: VirtualInternet, host: VirtualNetwork, local: Endpoint, remote: Endpoint) -> None:
        self.local = local
        self.remote = remote
        self.host = host
        self.peer: VirtualStream = self  # until `pair`
        self._internet = internet
        self._options = internet.options
        self._received = bytearray()
        self._eof_received = False
        self._eof_sent = False
        self._broken: str | None = None
        self._closed = False
        self._under_way: deque[tuple[float, bytes]] = deque()  # (due, sent and not arrived); b"" ends the stream
        self._held = 0  # bytes sent that the peer's program has not read
        self._stalled_at: float | None = None
        self._sending = _OneAtATime("sending on")
        self._receiving = _OneAtATime("receiving from")
        self._room = trio.lowlevel.ParkingLot()
        self._news = trio.lowlevel.ParkingLot()

    # What the program on this end calls.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sending()
            rest = memoryview(bytes(data))
            while rest:
                await self._wait_for_room()
                size = min(len(rest), self._options.segment, self._options.window - self._held)
                self._depart(bytes(rest[:size]))
                rest = rest[size:]

    async def wait_send_all_might_not_block(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sending()
            await self._wait_for_room()

    async def send_eof(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("this stream is closed")
            self._send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is not None:
            if not isinstance(max_bytes, int):
                raise TypeError("max_bytes must be an integer")
            if max_bytes < 1:
                raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while True:
                if self._closed:
                    raise trio.ClosedResourceError("this stream is closed")
                if self._received:
                    return self._take(max_bytes or self._options.segment)
                if self._eof_received:
                    return b""
                if self._broken is not None:
                    raise trio.BrokenResourceError(self._broken)
                await self._news.park()

    async def aclose(self) -> None:
        if not self._closed:
            if self._received:
                self.abort()  # as a system does when a program closes on bytes it has not read
            else:
                self._send_eof()
                self._closed = True
                self._wake()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close at once and tell the peer so: its end is broken."""
        if not self._closed:
            self._closed = True
            self._wake()
            self._send_reset("the peer reset the connection")

    # Sending.

    def _check_sending(self) -> None:
        if self._closed or self._eof_sent:
            raise trio.ClosedResourceError("this stream is closed for sending")
        if self._broken is not None:
            raise trio.BrokenResourceError(self._broken)

    async def _wait_for_room(self) -> None:
        while self._held >= self._options.window:
            await self._room.park()
            self._check_sending()

    def _depart(self, data: bytes) -> None:
        self._held += len(data)
        if not self.host.alive:
            return
        self._internet.segment_departs(self.local, self.remote, data)
        due = self._internet.now() + self._internet.latency(self.host, self.peer.host)
        self._under_way.append((due, data))
        self._internet.pump.call_at(due, self._arrive)

    def _send_eof(self) -> None:
        if not self._eof_sent:
            self._eof_sent = True
            if self._broken is None:
                self._depart(b"")

    def _arrive(self) -> None:
        """Something has come as far as the peer, unless it waits behind what did not get through."""
        if self._stalled_at is None:
            self._deliver_due()

    def _resend(self) -> None:
        if self.host.alive and self._broken is None:
            self._deliver_due()

    def _deliver_due(self) -> None:
        """Hand what is due to the peer, in order. What is stopped on the way is tried again, at last given up."""
        now = self._internet.now()
        while self._under_way and self._under_way[0][0] <= now:
            data = self._under_way[0][1]
            if not self._internet.segment_passes(self.host, self.peer.host, self.local, self.remote, data):
                if self._stalled_at is None:
                    self._stalled_at = now
                if now - self._stalled_at >= self._options.stream_timeout:
                    self._break("the peer has stopped answering")
                else:
                    self._internet.after(self._options.resend, self._resend)
                return
            self._under_way.popleft()
            if self.peer.host.alive:
                self.peer._receive(data)
            else:  # another machine has its address now, and knows no such connection
                back = self._internet.latency(self.host, self.peer.host)
                self._internet.after(back, lambda: self._break("the peer has restarted"))
        self._stalled_at = None

    # Receiving.

    def _receive(self, data: bytes) -> None:
        if self._closed:
            if data:
                self._send_reset("the peer has closed the connection")
            return
        if data:
            self._received += data
        else:
            self._eof_received = True
        self._news.unpark_all()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        self.peer._held -= len(taken)
        self.peer._room.unpark_all()
        return taken

    # Ending.

    def _send_reset(self, why: str) -> None:
        if self.host.alive and self._broken is None:
            self._internet.segment_departs(self.local, self.remote, b"")
            delay = self._internet.latency(self.host, self.peer.host)
            self._internet.after(delay, lambda: self.peer._reset_by(self, why))

    def _reset_by(self, sender: VirtualStream, why: str) -> None:
        if self._internet.segment_passes(sender.host, self.host, sender.local, sender.remote, b""):
            self._break(why)

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = why
            self._wake()

    def _wake(self) -> None:
        self._room.unpark_all()
        self._news.unpark_all()


def pair(
    internet: VirtualInternet, caller: VirtualNetwork, source: Endpoint, called: VirtualNetwork, target: Endpoint
) -> tuple[VirtualStream, VirtualStream]:
    """The caller's end and the called end of a connection that stands."""
    ours = VirtualStream(internet, caller, source, target)
    theirs = VirtualStream(internet, called, target, source)
    ours.peer, theirs.peer = theirs, ours
    return ours, theirs


class Dial:
    """One attempt to connect: knocks, waits twice as long, knocks again, and gives up as a system does."""

    def __init__(self, internet: VirtualInternet, caller: VirtualNetwork, source: Endpoint, target: Endpoint) -> None:
        self._internet = internet
        self._caller = caller
        self._source = source
        self._target = target
        self._knocks = 0
        self._abandoned = False
        self._ends: tuple[VirtualStream, VirtualStream] | None = None
        self._outcome: VirtualStream | OSError | None = None
        self._decided = trio.Event()

    async def connect(self) -> VirtualStream:
        """Raises ConnectionRefusedError after one round trip, TimeoutError after the last knock."""
        self._knock()
        try:
            await self._decided.wait()
        except BaseException:
            self._abandoned = True
            raise
        if isinstance(self._outcome, VirtualStream):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def _decide(self, outcome: VirtualStream | OSError) -> None:
        self._outcome = outcome
        self._decided.set()

    def _knock(self) -> None:
        if self._outcome is not None or self._abandoned or not self._caller.alive:
            return
        if self._knocks > self._internet.options.connect_retries:
            self._decide(TimeoutError(f"no answer from {self._target.host} port {self._target.port}"))
            return
        self._internet.segment_departs(self._source, self._target, b"")
        called = self._internet.find(self._caller, self._target.host)
        self._internet.after(self._internet.latency(self._caller, called), self._reach)
        self._internet.after(2.0**self._knocks, self._knock)
        self._knocks += 1

    def _passes(self, back: bool) -> VirtualNetwork | None:
        """The called host, when a segment gets through to it (or back from it) now."""
        called = self._internet.find(self._caller, self._target.host)
        if called is None:
            return None
        hosts, ends = (self._caller, called), (self._source, self._target)
        if back:
            hosts, ends = hosts[::-1], ends[::-1]
        return called if self._internet.segment_passes(*hosts, *ends, b"") else None

    def _reach(self) -> None:
        called = self._passes(back=False)
        if called is None or self._outcome is not None:
            return
        latency = self._internet.latency(called, self._caller)
        listener = called.listener_at(self._target)
        if listener is None:
            self._internet.segment_departs(self._target, self._source, b"")
            self._internet.after(latency, self._refused)
        elif listener.has_room():
            self._internet.segment_departs(self._target, self._source, b"")
            if self._ends is None:
                self._ends = pair(self._internet, self._caller, self._source, called, self._target)
            self._internet.after(latency, self._answered)

    def _refused(self) -> None:
        if self._outcome is None and self._passes(back=True):
            self._decide(ConnectionRefusedError(f"{self._target.host} port {self._target.port} refused the connection"))

    def _answered(self) -> None:
        called = self._passes(back=True)
        if called is None or self._outcome is not None or self._ends is None:
            return
        ours, theirs = self._ends
        if self._abandoned:
            return
        self._decide(ours)
        self._internet.after(self._internet.latency(self._caller, called), lambda: self._offer(called, theirs))

    def _offer(self, called: VirtualNetwork, theirs: VirtualStream) -> None:
        listener = called.listener_at(self._target) if called.alive else None
        if listener is None or not listener.offer(theirs):
            theirs.abort()
