"""Virtual TCP: connections whose bytes arrive after the network's latency, in order, or not at all.

Modelled: back-pressure by a window, half-close, reset, and what a cut or a dead host does to a connection (segments
wait, are tried again every second, and after the system's timeout the *sender* learns that it is broken; who only
listens learns nothing). Where only the way back is cut, what is sent arrives, up to a window, and breaks the same way,
as no acknowledgement comes. On a line of limited bandwidth a stream sends one segment after the other, as fast as the
slower of the two lines takes them. While its host is paused nothing that is written leaves, and nothing is read.

Left out: opening (`kadnet.lab.dial`) and congestion: streams to one slow line from many others fill its queue. And one
thing travels faster than the network: the sender learns at once that the receiver has read, so a window's worth of
bytes moves per latency and not per round trip.
"""

from __future__ import annotations

from collections import deque
from functools import partial

import trio

from kadnet.identity.address import Endpoint
from kadnet.lab.station import Station, Underlay, are_near

_HEADERS = 40  # IPv4 and TCP, what a line carries beside the data


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

    def __init__(self, internet: Underlay, host: Station, local: Endpoint, remote: Endpoint) -> None:
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
        self._written: deque[bytes] = deque()  # and not sent: the host is paused or the line is busy
        self._line_is_busy = False
        self._under_way: deque[tuple[float, bytes]] = deque()  # (due, sent and not arrived); b"" ends the stream
        self._held = 0  # bytes sent that the peer's program has not read
        self._read = 0  # of those: bytes it has read, which this end has not heard of
        self._stopped = False  # what is under way waits behind a segment that does not get through
        self._stalled_at: float | None = None  # since then nothing is heard of the peer
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
                if self.host.paused:
                    await self.host.running()
                    continue
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
            self._written.clear()
            self._reset_peer()

    def _reset_peer(self) -> None:
        if self.host.paused:
            self.host.hold_back(self._reset_peer)
        else:
            self._send_reset("the peer reset the connection")

    # Sending.

    def _check_sending(self) -> None:
        if self._closed or self._eof_sent:
            raise trio.ClosedResourceError("this stream is closed for sending")
        if self._broken is not None:
            raise trio.BrokenResourceError(self._broken)

    async def _wait_for_room(self) -> None:
        while self._held >= self._options.window:
            if self._read and self._hear():
                continue
            if self._read:
                self._stall()
            await self._room.park()
            self._check_sending()

    def _depart(self, data: bytes) -> None:
        self._held += len(data)
        self._written.append(data)
        self._let_go()

    def _let_go(self) -> None:
        """Send what is written, as far as the line takes it."""
        while self._written and not self._line_is_busy and self.host.alive:
            if self.host.paused:
                self.host.hold_back(self._let_go)
                return
            self._send(self._written.popleft())

    def _send(self, data: bytes) -> None:
        far = self.peer.host
        now = self._internet.now()
        self._internet.segment_departs(self.peer.remote, self.remote, data)
        up, down = (None, None) if are_near(self.host, far) else (self.host.line.up, far.line.down)
        leaves = now if up is None else up.push(len(data) + _HEADERS, now)
        next_at = leaves if down is None else max(leaves, now + (len(data) + _HEADERS) / down.rate)
        if next_at > now:
            self._line_is_busy = True
            self._internet.pump.call_at(next_at, self._line_is_free)
        due = leaves + self._internet.latency(self.host, far)
        if down is None:
            self._expect(due, data)
        else:
            self._internet.pump.call_at(due, partial(self._come_down, data))

    def _line_is_free(self) -> None:
        self._line_is_busy = False
        self._let_go()

    def _come_down(self, data: bytes) -> None:
        """A segment has come as far as the peer's line."""
        down = self.peer.host.line.down
        assert down is not None  # or nobody had called this
        self._expect(down.push(len(data) + _HEADERS, self._internet.now()), data)

    def _expect(self, due: float, data: bytes) -> None:
        self._under_way.append((due, data))
        self._internet.pump.call_at(due, self._arrive)

    def _send_eof(self) -> None:
        if not self._eof_sent:
            self._eof_sent = True
            if self._broken is None:
                self._depart(b"")

    def _arrive(self) -> None:
        """Something has come as far as the peer, unless it waits behind what did not get through."""
        if not self._stopped and not (self._deliver_due() and self._hear()):
            self._stall()

    def _stall(self) -> None:
        """No answer: try again every second, until one comes or it has taken too long."""
        if self._stalled_at is None:
            self._stalled_at = self._internet.now()
            self._internet.after(self._options.resend, self._resend)

    def _resend(self) -> None:
        if self._stalled_at is None or not self.host.alive or self._broken is not None:
            return
        if self._deliver_due() and self._passes(b"", bare=True) and self._hear():
            self._stalled_at = None
        elif self._internet.now() - self._stalled_at >= self._options.stream_timeout:
            self._break("the peer has stopped answering")
        else:
            self._internet.after(self._options.resend, self._resend)

    def _passes(self, data: bytes, *, bare: bool = False) -> bool:
        there = self.peer.host
        return self._internet.segment_passes(self.host, there, self.peer.remote, self.remote, data, bare=bare)

    def _hear(self) -> bool:
        """Whether an acknowledgement gets back now. With it comes how much the peer's program has read."""
        peer = self.peer
        heard = peer.host.alive and peer._passes(b"", bare=True)
        if heard and self._read:
            self._held -= self._read
            self._read = 0
            self._room.unpark_all()
        return heard

    def _was_read(self, size: int) -> None:
        self._read += size
        if not self._hear() and self._room:
            self._stall()

    def _deliver_due(self) -> bool:
        """Hand what is due to the peer, in order. False when something is stopped on the way."""
        now = self._internet.now()
        while self._under_way and self._under_way[0][0] <= now:
            data = self._under_way[0][1]
            if not self._passes(data):
                self._stopped = True
                return False
            self._under_way.popleft()
            if self.peer.host.alive:
                self.peer._receive(data)
            else:  # another machine has its address now, and knows no such connection
                back = self._internet.latency(self.host, self.peer.host)
                self._internet.after(back, lambda: self._break("the peer has restarted"))
        self._stopped = False
        return True

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
        self.peer._was_read(len(taken))
        return taken

    # Ending.

    def _send_reset(self, why: str) -> None:
        if self.host.alive and self._broken is None:
            self._internet.segment_departs(self.peer.remote, self.remote, b"")
            delay = self._internet.latency(self.host, self.peer.host)
            self._internet.after(delay, lambda: self.peer._reset_by(self, why))

    def _reset_by(self, sender: VirtualStream, why: str) -> None:
        if self._internet.segment_passes(sender.host, self.host, self.remote, sender.remote, b""):
            self._break(why)

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = why
            self._written.clear()
            self._wake()

    def _wake(self) -> None:
        self._room.unpark_all()
        self._news.unpark_all()


def pair(ours: VirtualStream, theirs: VirtualStream) -> tuple[VirtualStream, VirtualStream]:
    """Make two ends one connection."""
    ours.peer, theirs.peer = theirs, ours
    return ours, theirs
