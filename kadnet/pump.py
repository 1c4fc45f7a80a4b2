"""One heap of deadlines, and the one trio task that turns it.

A node has tens of thousands of deadlines (a timeout per query, a tick per machine) and no task for any of them: a
task costs 16 µs, an entry here about one. Callbacks are plain functions, run to the end in the order (when, serial),
where serial counts the calls of `call_at`; so two deadlines at one instant keep the order they were made in, and a
run under a mock clock repeats itself exactly.

`Pump.add` drives a machine, the house's one shape for decisions: `advance(now)` says what to do and when to ask again.

A node's `now` is trio's clock. In the lab it may be a clock of the node's own, which jumps or stands still; such a one
says when trio's clock will show its times, and wakes the pump when that has changed (`OwnClock`).

Left out: anything that awaits. A callback that has to wait hands the work to a task of its own room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar, runtime_checkable

import trio

Action = TypeVar("Action")
Action_co = TypeVar("Action_co", covariant=True)


class Machine(Protocol[Action_co]):
    """Decisions without input or output. Its inputs are methods of its own; this is its output."""

    def advance(self, now: float) -> tuple[Sequence[Action_co], float | None]:
        """What to do now, and when to ask again: `None` or infinity means only when kicked."""
        ...


@runtime_checkable
class OwnClock(Protocol):
    """A clock that is not trio's, and may leave it at any time."""

    def __call__(self) -> float:
        """Seconds, never fewer than before."""
        ...

    def deadline(self, when: float) -> float:
        """What trio's clock will show when this one shows `when`: later than now for what is to come, or infinity."""
        ...

    def watch(self, moved: Callable[[], object]) -> None:
        """Call `moved` whenever this clock has left trio's in another way than before."""
        ...


@dataclass(frozen=True, slots=True)
class PumpSettings:
    turn: int = 256
    """Callbacks run before the loop gets to breathe: at some 10 µs each, other tasks wait 2.5 ms at most."""

    compact_from: int = 64
    """A heap with fewer cancelled entries than this is not worth rebuilding, however many of its entries they are."""


class Timer:
    """One entry of the heap. `fn` is None once it has run or was cancelled."""

    __slots__ = ("_pump", "fn", "when")

    def __init__(self, pump: Pump, when: float, fn: Callable[[], object]) -> None:
        self._pump = pump
        self.when = when
        self.fn: Callable[[], object] | None = fn

    def cancel(self) -> None:
        """Never run it. Its entry leaves the heap when its time comes or at the next rebuild; safe to call twice."""
        if self.fn is not None:
            self.fn = None
            self._pump._cancelled()


class Pump:
    """The heap and the task that turns it. `now` tells the time of trio's clock, or is an `OwnClock`."""

    def __init__(self, now: Callable[[], float], settings: PumpSettings | None = None) -> None:
        self.now = now
        self._settings = settings or PumpSettings()
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._dead = 0
        self._wake_at = -math.inf  # while awake nothing is earlier, so call_at wakes nobody
        self._sleep: trio.CancelScope | None = None
        self._running = False
        self._clock = now if isinstance(now, OwnClock) else None
        if self._clock is not None:
            self._clock.watch(self._moved)

    def __len__(self) -> int:
        """How many callbacks are still to run."""
        return len(self._heap) - self._dead

    def call_at(self, when: float, fn: Callable[[], object]) -> Timer:
        """Call `fn()` once at `when` (a time past: at the next turn). Call from the thread of trio's loop."""
        timer = Timer(self, when, fn)
        self._serial += 1
        heappush(self._heap, (when, self._serial, timer))
        if when < self._wake_at and self._sleep is not None:
            # Lowering the deadline of the sleeper's scope is the cheapest way to wake it earlier.
            self._wake_at = when
            self._sleep.deadline = when if self._clock is None else self._clock.deadline(when)
        return timer

    def add(self, machine: Machine[Action], perform: Callable[[Action], object]) -> Handle[Action]:
        """Drive `machine`: it is asked for the first time at its first kick."""
        return Handle(self, machine, perform)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Turn the heap until cancelled. What a callback raises ends it: that is a crash of the node's own task."""
        if self._running:
            raise RuntimeError("this pump is already being turned")
        self._running = True
        task_status.started()
        try:
            while True:
                more_is_due = self._turn()
                if more_is_due:
                    await trio.lowlevel.checkpoint()
                else:
                    await self._sleep_until_head()
        finally:
            self._running = False

    def _turn(self) -> bool:
        """Run what is due, up to the bound of a turn. True when something due is left."""
        heap = self._heap
        now = self.now()
        for _ in range(self._settings.turn):
            if not heap or heap[0][0] > now:
                return False
            timer = heappop(heap)[2]
            fn = timer.fn
            if fn is None:
                self._dead -= 1
            else:
                timer.fn = None
                fn()
        return True

    async def _sleep_until_head(self) -> None:
        wake_at = self._wake_at = self._heap[0][0] if self._heap else math.inf
        deadline = wake_at if self._clock is None else self._clock.deadline(wake_at)
        with trio.CancelScope(deadline=deadline) as self._sleep:
            try:
                await trio.sleep_forever()
            finally:
                self._sleep = None
                self._wake_at = -math.inf

    def _moved(self) -> None:
        """The clock has: wake and look what is due."""
        if self._sleep is not None:
            self._wake_at = -math.inf
            self._sleep.deadline = -math.inf

    def _cancelled(self) -> None:
        self._dead += 1
        heap = self._heap
        if self._dead >= self._settings.compact_from and self._dead * 2 > len(heap):
            heap[:] = [entry for entry in heap if entry[2].fn is not None]
            heapify(heap)
            self._dead = 0


class Handle(Generic[Action]):
    """One machine on a pump."""

    __slots__ = ("_again", "_busy", "_machine", "_perform", "_pump", "_stopped", "_timer")

    def __init__(self, pump: Pump, machine: Machine[Action], perform: Callable[[Action], object]) -> None:
        self._pump = pump
        self._machine: Machine[Action] | None = machine
        self._perform: Callable[[Action], object] | None = perform
        self._timer: Timer | None = None
        self._busy = False
        self._again = False
        self._stopped = False

    def kick(self) -> None:
        """Ask the machine now, perform what it says, arm its next deadline.

        A kick that comes from inside `perform` is remembered and answered after the actions at hand: a peer that
        answers on the spot makes no recursion, and the machine sees its own decisions finished, in order.
        """
        machine, perform = self._machine, self._perform
        if machine is None or perform is None:
            return
        if self._busy:
            self._again = True
            return
        self._busy = True
        wake_at: float | None = None
        try:
            self._again = True
            while self._again and not self._stopped:
                self._again = False
                actions, wake_at = machine.advance(self._pump.now())
                for action in actions:
                    if self._stopped:
                        break
                    perform(action)
        finally:
            self._busy = False
        self._arm(wake_at)

    def stop(self) -> None:
        """Perform nothing more, not even the rest of the actions at hand. Safe to call twice."""
        self._stopped = True
        self._arm(None)
        # Let go of the machine: it mostly knows its handle, and a circle is left to the garbage collector, whose sweep
        # through a whole process costs more than hundreds of walks.
        self._machine = None
        self._perform = None

    def _arm(self, wake_at: float | None) -> None:
        timer = self._timer
        if timer is not None and timer.fn is not None:
            if timer.when == wake_at and not self._stopped:
                return
            timer.cancel()
        self._timer = None
        if wake_at is not None and wake_at != math.inf and not self._stopped:
            self._timer = self._pump.call_at(wake_at, self.kick)
