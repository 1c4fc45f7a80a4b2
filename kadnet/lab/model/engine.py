"""Time in the model: one heap of calls, by (when, serial). No task, no coroutine, no real clock.

An entry costs about a microsecond, so an hour of a thousand nodes is a matter of a minute. Nothing is taken out of the
heap: who changes its mind remembers so and lets the call come to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Engine:
    """Virtual seconds since the start, and what is still to happen."""

    __slots__ = ("_heap", "_serial", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, when: float, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn(*args)` once at `when`; two calls for one instant keep the order in which they were asked for."""
        self._serial += 1
        heappush(self._heap, (when, self._serial, fn, args))

    def run_until(self, end: float) -> None:
        """Let everything happen up to and including `end`, which is then the time."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, fn, args = heappop(heap)
            fn(*args)
        self.now = max(self.now, end)
