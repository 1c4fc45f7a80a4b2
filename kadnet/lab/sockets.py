"""The ports of a virtual host: one for datagrams, one for streams. Both are bounded, as a system's are.

While the host is paused nothing is handed over: what comes waits here, and what does not fit is lost.

Left out: where packets go and what becomes of them on the way (`kadnet.lab.network`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import trio

from kadnet.identity.address import Endpoint
from kadnet.lab.options import NetworkOptions
from kadnet.lab.station import Station
from kadnet.lab.stream import VirtualStream

Carry: TypeAlias = Callable[[Endpoint, Endpoint, bytes], bool]
"""Sends a datagram from a port bound to the first endpoint to the second; False when the host drops it itself."""


class VirtualDatagrams:
    """`Datagrams` on the virtual internet."""

    def __init__(
        self,
        host: Station,
        local: Endpoint,
        group: str | None,
        options: NetworkOptions,
        carry: Carry,
        forget: Callable[[VirtualDatagrams], object],
    ) -> None:
        self.local = local
        self.group = group
        self.overflowed = 0
        """Datagrams lost because the program did not read in time."""
        self._host = host
        self._options = options
        self._carry = carry
        self._forget = forget
        self._inbox: deque[tuple[bytes, Endpoint]] = deque()
        self._closed = False
        self._waiting: trio.lowlevel.Task | None = None
        self._lot = trio.lowlevel.ParkingLot()

    async def receive(self) -> list[tuple[bytes, Endpoint]]:
        if self._waiting is not None:
            raise trio.BusyResourceError("another task is receiving from this port")
        if self._closed or self._inbox:
            await trio.lowlevel.checkpoint()
        self._waiting = trio.lowlevel.current_task()
        try:
            while not self._closed and (self._host.paused or not self._inbox):
                if self._host.paused:
                    await self._host.running()
                else:
                    await self._lot.park()
        finally:
            self._waiting = None
        if self._closed:
            raise trio.ClosedResourceError("this datagram port is closed")
        return [self._inbox.popleft() for _ in range(min(len(self._inbox), self._options.batch))]

    def send(self, data: bytes, to: Endpoint) -> bool:
        if self._closed or not self._host.alive or self._host.paused:
            return False
        return self._carry(self.local, to, bytes(data))

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._inbox.clear()
            self._forget(self)
            self._lot.unpark_all()
        await trio.lowlevel.checkpoint()

    @property
    def closed(self) -> bool:
        """Also when its host is dead."""
        return self._closed or not self._host.alive

    def put(self, data: bytes, source: Endpoint) -> bool:
        """A datagram has arrived; False when there is no room for it."""
        if len(self._inbox) >= self._options.inbox:
            self.overflowed += 1
            return False
        self._inbox.append((data, source))
        if self._waiting is not None:
            self._lot.unpark_all()
        return True


class VirtualListener:
    """`Listener` on the virtual internet."""

    def __init__(
        self, host: Station, local: Endpoint, backlog: int, forget: Callable[[VirtualListener], object]
    ) -> None:
        self.local = local
        self._host = host
        self._backlog = backlog
        self._forget = forget
        self._callers: deque[VirtualStream] = deque()
        self._closed = False
        self._lot = trio.lowlevel.ParkingLot()

    async def accept(self) -> tuple[VirtualStream, Endpoint]:
        await trio.lowlevel.checkpoint()
        while not self._closed and (self._host.paused or not self._callers):
            if self._host.paused:
                await self._host.running()
            else:
                await self._lot.park()
        if self._closed:
            raise trio.ClosedResourceError("this listener is closed")
        stream = self._callers.popleft()
        return stream, stream.remote

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._forget(self)
            self._lot.unpark_all()
            while self._callers:
                self._callers.popleft().abort()
        await trio.lowlevel.checkpoint()

    def has_room(self) -> bool:
        return len(self._callers) < self._backlog

    def offer(self, stream: VirtualStream) -> bool:
        """A caller's connection stands; False when there is no room for it."""
        if not self.has_room():
            return False
        self._callers.append(stream)
        self._lot.unpark()
        return True
