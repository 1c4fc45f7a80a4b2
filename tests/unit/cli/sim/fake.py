"""Simulations that cost nothing: reports made by hand, and a strategy that is interrupted where a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from kadnet.lab.model import Plan, Report, Sample

DONE = Sample(first=0.2, direct=0.1, whole=0.6, messages=20, hops=2, recall=1.0)
LOST = Sample(first=None, direct=None, whole=None, messages=40, hops=None, recall=0.0)


def report(name: str = "kadnet", samples: tuple[Sample, ...] = (DONE,) * 4, plan: Plan | None = None) -> Report:
    wanted = plan or Plan(nodes=50, lookups=4)
    return Report(name, wanted, 0.112, samples, wanted.nodes, 1000, complete=len(samples) >= wanted.lookups)


class Pretended:
    """In place of `kadnet.lab.model.Simulation`."""

    made: ClassVar[list[str]]
    interrupted_in: ClassVar[tuple[str, int] | None]
    """A strategy, and how many of its lookups end before Ctrl-C comes."""

    def __init__(self, plan: Plan, strategy: str) -> None:
        self.made.append(strategy)
        self._plan, self._strategy = plan, strategy
        self._samples: list[Sample] = []

    def run(self, progress: Callable[[str, int, int], object]) -> Report:
        for phase in ("join", "settle"):
            progress(phase, 0, self._plan.nodes)
            progress(phase, self._plan.nodes, self._plan.nodes)
        for number in range(self._plan.lookups):
            if (self._strategy, number) == self.interrupted_in:
                raise KeyboardInterrupt
            self._samples.append(DONE)
            progress("look up", number + 1, self._plan.lookups)
        return self.report()

    def report(self) -> Report:
        return report(self._strategy, tuple(self._samples), self._plan)
