"""Opening a virtual connection: the three-way handshake, its retries and refusal. A system does this for a program.

So a host that is paused answers knocks until its backlog is full, and what it asked for itself goes on; only the
outcome waits until it runs again.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import trio

from kadnet.identity.address import Endpoint
from kadnet.lab.sockets import VirtualListener
from kadnet.lab.station import Station, Underlay
from kadnet.lab.stream import VirtualStream, pair


class Called(NamedTuple):
    """Who answers at an endpoint: the host, the endpoint as that host knows it, and who listens there."""

    station: Station
    at: Endpoint
    listener: VirtualListener | None


class Exchange(Underlay, Protocol):
    """What an attempt to connect asks of the network."""

    def answering(self, caller: Station, at: Endpoint) -> Called | None:
        """Who answers a call; None when nobody does, or a NAT box lets nobody in."""
        ...

    def calls_from(self, caller: Station, source: Endpoint, target: Endpoint) -> Endpoint:
        """Where a connection from `source` seems to come from at its target."""
        ...


class Dial:
    """One attempt to connect: knocks, waits twice as long, knocks again, and gives up as a system does."""

    def __init__(self, internet: Exchange, caller: Station, source: Endpoint, target: Endpoint) -> None:
        self._internet = internet
        self._caller = caller
        self._source = source
        self._target = target
        self._seen = internet.calls_from(caller, source, target)
        self._knocks = 0
        self._abandoned = False
        self._ends: tuple[VirtualStream, VirtualStream] | None = None
        self._outcome: VirtualStream | OSError | None = None
        self._decided = trio.Event()

    async def connect(self) -> VirtualStream:
        """Raises ConnectionRefusedError after one round trip, TimeoutError after the last knock."""
        try:
            await self._caller.running()
            self._knock()
            await self._decided.wait()
            await self._caller.running()
        except BaseException:
            self._abandoned = True
            if isinstance(self._outcome, VirtualStream):
                self._outcome.abort()
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
        self._internet.segment_departs(self._seen, self._target, b"")
        called = self._internet.answering(self._caller, self._target)
        self._internet.after(self._internet.latency(self._caller, called and called.station), self._reach)
        self._internet.after(2.0**self._knocks, self._knock)
        self._knocks += 1

    def _passes(self, back: bool) -> Called | None:
        """Who answers, when a segment gets through to it (or back from it) now."""
        called = self._internet.answering(self._caller, self._target)
        if called is None:
            return None
        if back:
            passes = self._internet.segment_passes(called.station, self._caller, self._target, self._seen, b"")
        else:
            passes = self._internet.segment_passes(self._caller, called.station, self._seen, self._target, b"")
        return called if passes else None

    def _reach(self) -> None:
        called = self._passes(back=False)
        if called is None or self._outcome is not None:
            return
        latency = self._internet.latency(called.station, self._caller)
        if called.listener is None:
            self._internet.segment_departs(self._target, self._seen, b"")
            self._internet.after(latency, self._refused)
        elif called.listener.has_room():
            self._internet.segment_departs(self._target, self._seen, b"")
            if self._ends is None or self._ends[1].host is not called.station:
                ours = VirtualStream(self._internet, self._caller, self._source, self._target)
                theirs = VirtualStream(self._internet, called.station, called.at, self._seen)
                self._ends = pair(ours, theirs)
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
        self._internet.after(self._internet.latency(self._caller, called.station), lambda: self._offer(theirs))

    def _offer(self, theirs: VirtualStream) -> None:
        """The last of the three: at the called end the connection stands, if there still is somebody to take it."""
        called = self._internet.answering(self._caller, self._target)
        listener = called.listener if called is not None and called.station is theirs.host else None
        if listener is None or not listener.offer(theirs):
            theirs.abort()
