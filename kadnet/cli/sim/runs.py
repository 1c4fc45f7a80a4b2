"""Runs simulations one after another in this process, and stops them for Ctrl-C without losing what they have found.

The first Ctrl-C ends the simulation that runs: its finished lookups count, and those that wait are not begun. The
second ends the process where it stands.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from kadnet.errors import KadnetError

if TYPE_CHECKING:
    from kadnet.cli.sim.screen import Progress
    from kadnet.lab.model import Plan, Report

_INTERRUPTED: Final = 130


class Simulated(Protocol):
    """`kadnet.lab.model.Simulation`, as far as it is used here."""

    def run(self, progress: Callable[[str, int, int], object]) -> Report: ...

    def report(self) -> Report: ...


class Interrupts:
    """Ctrl-C while it is entered: it is only noted, and heeded where a simulation says how far it is.

    An exception out of the handler could strike anywhere: inside a change to the simulation, or inside a finalizer,
    where Python drops it.
    """

    def __init__(self, number: signal.Signals = signal.SIGINT) -> None:
        """`number`: the signal that stands for Ctrl-C."""
        self.asked = False
        self.failed: KadnetError | None = None
        """Why the rest cannot be done, where that is no wish of the person's."""
        self._number = number
        self._before: Any = None
        self._last: Callable[[], object] = _nothing

    @property
    def ending(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.asked or self.failed is not None

    def __enter__(self) -> Self:
        self._before = signal.getsignal(self._number)
        if self._before is not signal.SIG_IGN:  # a job that a shell put into its background is to hear none
            signal.signal(self._number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(self._number, self._before)

    def stoppable(self, work: Callable[[], object]) -> None:
        """Do the work to its end or until it heeds Ctrl-C, whichever comes first; none of it when that has come."""
        try:
            if not self.asked:
                work()
        except KeyboardInterrupt:
            self.asked = True

    def heeding(self, progress: Callable[[str, int, int], object]) -> Callable[[str, int, int], None]:
        """`progress`, which ends stoppable work once Ctrl-C has come."""

        def at(phase: str, done: int, total: int) -> None:
            progress(phase, done, total)
            if self.asked:
                raise KeyboardInterrupt

        return at

    def at_the_second(self, last: Callable[[], object]) -> None:
        """What is to be done before a second Ctrl-C ends the process."""
        self._last = last

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            self._last()
            os._exit(_INTERRUPTED)
        self.asked = True


def _nothing() -> None:
    pass


def run_all(
    plan: Plan,
    strategies: Sequence[str],
    progress: Progress,
    interrupts: Interrupts,
    simulate: Callable[[Plan, str], Simulated],
) -> tuple[Report, ...]:
    """A report for each strategy that was begun, in their order; the last one is not complete when interrupted."""
    reports = []
    for strategy in strategies:
        gc.collect()  # the nodes of the last world know each other; the next would be built beside them
        begun: list[Simulated] = []

        def work(strategy: str = strategy, begun: list[Simulated] = begun) -> None:
            begun.append(simulate(plan, strategy))
            begun[0].run(interrupts.heeding(partial(progress.at, strategy)))

        interrupts.stoppable(work)
        progress.end(strategy)
        reports += [simulation.report() for simulation in begun]
        begun.clear()
        if interrupts.asked:
            break
    return tuple(reports)
