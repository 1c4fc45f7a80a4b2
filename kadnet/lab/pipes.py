"""The line of a host: packets leave and come in one after the other, and wait their turn in a bounded queue.

A pipe is one number, the time at which it will have carried all it was given; how much waits follows from that.

Left out: which packet goes first (in order of arrival, all of them), and what shares a line with others.
"""

from __future__ import annotations

from kadnet.lab.options import NetworkOptions


class Pipe:
    """One direction of a line. `rate`: bytes per second; `queue`: bytes that may wait."""

    __slots__ = ("_free_at", "_queue", "rate")

    def __init__(self, rate: float, queue: int) -> None:
        self.rate = rate
        self._queue = queue
        self._free_at = 0.0

    def offer(self, size: int, now: float) -> float | None:
        """When a packet of `size` bytes is through; None when the queue has no room for it."""
        waiting = max(0.0, self._free_at - now) * self.rate
        return None if waiting + size > self._queue else self.push(size, now)

    def push(self, size: int, now: float) -> float:
        """When `size` bytes of a stream are through; they wait however much waits before them."""
        self._free_at = max(now, self._free_at) + size / self.rate
        return self._free_at


class Line:
    """Both directions; None is unlimited."""

    __slots__ = ("down", "up")

    def __init__(self, options: NetworkOptions) -> None:
        up, down = options.bandwidth or (None, None)
        self.up = None if up is None else Pipe(up, options.line_queue)
        self.down = None if down is None else Pipe(down, options.line_queue)
