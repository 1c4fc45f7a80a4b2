"""One virtual host as the network sees it: where it is, its line, its NAT box, whether it is alive or paused.

Also what its ports and connections ask of the network under them (`Underlay`), so that they need not know it.

Left out: the ports themselves (`kadnet.lab.host`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from kadnet.identity.address import Endpoint
from kadnet.lab.latency import Place
from kadnet.lab.nat import NatBox
from kadnet.lab.options import NetworkOptions
from kadnet.lab.pipes import Line
from kadnet.pump import Pump, Timer


class Station:
    """Facts and states of one host."""

    def __init__(self, name: str, addresses: tuple[str, ...], place: Place, line: Line, box: NatBox | None) -> None:
        self.name = name
        self.addresses = addresses
        self.place = place
        self.line = line
        self.box = box
        """The NAT box it is behind."""
        self.alive = True
        self.paused = False
        """Its programs stand still; its system goes on. See `VirtualInternet.pause`."""
        self._resumed = trio.lowlevel.ParkingLot()
        self._held_back: dict[Callable[[], object], None] = {}

    async def running(self) -> None:
        """Wait until the host is not paused. No checkpoint when it is not."""
        while self.paused:
            await self._resumed.park()

    def hold_back(self, fn: Callable[[], object]) -> None:
        """Call `fn()` when the host is resumed, once however often this was asked for."""
        self._held_back[fn] = None

    def resume(self) -> None:
        self.paused = False
        held_back, self._held_back = self._held_back, {}
        for fn in held_back:
            fn()
        self._resumed.unpark_all()

    def die(self) -> None:
        """For good. What waits for a resume waits in vain, as the dead are told nothing."""
        self.alive = False
        self.paused = False
        self._held_back.clear()


def are_near(a: Station, b: Station | NatBox | None) -> bool:
    """Whether nothing but a host itself, or the LAN behind one box, is between them."""
    if a is b:
        return True
    return a.box is not None and b is not None and a.box is (b.box if isinstance(b, Station) else b)


class Underlay(Protocol):
    """What connections ask of the network."""

    options: NetworkOptions
    pump: Pump

    def now(self) -> float: ...

    def after(self, delay: float, fn: Callable[[], object], /) -> Timer: ...

    def latency(self, a: Station, b: Station | None, /) -> float:
        """Seconds one way; to nobody: as far as anybody."""
        ...

    def segment_departs(self, source: Endpoint, target: Endpoint, data: bytes, /) -> None: ...

    def segment_passes(
        self, sender: Station, called: Station, source: Endpoint, target: Endpoint, data: bytes, *, bare: bool = False
    ) -> bool:
        """Whether a segment that should arrive now does. A `bare` acknowledgement is shown to filters alone."""
        ...
