"""The clocks of a machine in the lab: one on the wall and one that only runs, each wrong in its own way.

Both follow trio's virtual clock until somebody moves them. The wall clock may jump either way, as when a person or NTP
sets it. The other one, a node's `runtime.now`, never runs backwards: it may jump ahead, and stands still while the
machine is frozen, as a stopped process sees no time pass and then a lot at once.

Left out: clocks that run fast or slow. And what waits in trio itself (`trio.sleep`, `trio.move_on_after`) waits for
trio's clock, which is nobody's to move: a jump makes due what the node's pumps hold, not those.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

EPOCH = 1_800_000_000.0
"""Unix time at virtual second 0: a day in January 2027."""

_FARTHEST = 100 * 365.25 * 86_400
"""Seconds that a monotonic clock may be ahead of trio's: 100 years. Far beyond, a float has no room left for fractions
of a second, so that no wait would ever end."""

_LEAST = 1e-6
"""Seconds that a wait for what is to come takes at least. When the two clocks are far apart, rounding could make it
none, and virtual time would stand still."""


class VirtualWall:
    """A wall clock: `EPOCH` at virtual second 0, and wrong by `offset` seconds, which may be changed at any time.

    By as much as you like: no wait hangs on it. ValueError for an offset that is no finite number of seconds.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    @property
    def offset(self) -> float:
        return self._offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        if not math.isfinite(seconds):
            raise ValueError(f"a wall clock is wrong by a number of seconds, not by {seconds:g}")
        self._offset = seconds

    def __call__(self) -> float:
        return EPOCH + trio.current_time() + self.offset


class VirtualClock:
    """A monotonic clock, ahead of trio's by `offset` seconds. It is a `kadnet.pump.OwnClock`: pumps know its jumps."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._stands_at: float | None = None
        self._watching: list[Callable[[], object]] = []

    def __call__(self) -> float:
        return trio.current_time() + self.offset if self._stands_at is None else self._stands_at

    def jump(self, seconds: float) -> None:
        """Be `seconds` further at once.

        ValueError for a jump backwards, which a monotonic clock does not make, or by more than 100 years in all.
        """
        if not (seconds >= 0 and self.offset + seconds <= _FARTHEST):
            raise ValueError(f"a monotonic clock jumps ahead by up to 100 years in all, not by {seconds:g} seconds")
        self.offset += seconds
        self._tell()

    def freeze(self) -> None:
        """Stand still, and let nothing become due, until `thaw`."""
        if self._stands_at is None:
            self._stands_at = self()
            self._tell()

    def thaw(self) -> None:
        """Be where it would be had it never stood still."""
        self._stands_at = None
        self._tell()

    def deadline(self, when: float) -> float:
        """What trio's clock will show when this one shows `when`."""
        if self._stands_at is not None:
            return math.inf
        if when <= self():
            return -math.inf
        return when if self.offset == 0 else max(when - self.offset, trio.current_time() + _LEAST)

    def watch(self, moved: Callable[[], object]) -> None:
        self._watching.append(moved)

    def _tell(self) -> None:
        for moved in self._watching:
            moved()
