"""Lookups and puts in the model (`kadnet.lab.model`): one world, one strategy, one seed.

    python -m benchmarks.figures.modelled WORLD STRATEGY SEED [quick]

Says now and then how far it is, as a line of row "progress"; its last line has the figures. `quick` is a world of a
tenth of the size: it shows that everything runs, and no figure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from benchmarks.figures.reading import plain
from benchmarks.peers.driver import say
from kadnet.cli.sim.screen import Estimate
from kadnet.lab.model import Plan, Report, Simulation, quantile, summary

_W: Final = Plan(nodes=1000, loss=0.01, stale=0.1, lookups=500)
_SMALL_CACHE: Final = 256
"""Contacts that a node of a world of ten thousand keeps, but for the warm ones: or memory runs out."""

_THOUSANDS: Final = replace(_W, nodes=10_000, cached=_SMALL_CACHE, warm=100, pace=0.02, settle=30.0)
_WARMING: Final = 600.0
"""Virtual seconds of ordinary traffic that make a cold node a warm one."""

WORLDS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        "world": _W,
        "hard": replace(_W, stale=0.3, loss=0.05),
        "warm": _THOUSANDS,
        "cold": _THOUSANDS,
        "few": replace(_W, nodes=500, cached=_SMALL_CACHE),
        "put": _W,
    }
)
"""By row. Ours is asked cold and, when it has been in use for ten minutes, warm: one network, built once."""

_PARTS: Final = ("recall", "success", "size_error_p50", "size_error_p95")
_POINTS: Final = 200
_OFTEN: Final = 0.5


def plan_of(world: str, seed: int, *, quick: bool) -> Plan:
    """The plan of one row."""
    plan = replace(WORLDS[world], seed=seed)
    if world == "put":
        plan = replace(plan, puts=200)
    if not quick:
        return plan
    return replace(
        plan,
        nodes=max(100, plan.nodes // 20),
        lookups=50,
        warm=min(plan.warm, 20),
        settle=None if plan.settle is None else 120.0,
    )


def figures(report: Report) -> dict[str, float | None]:
    """The figures of a report as a line has them: parts as per cent."""
    found = summary(report)
    return plain({name: 100 * value if name in _PARTS else value for name, value in found.items()})


def curve(report: Report) -> list[list[float | None]]:
    """What is drawn: [first, direct, whole] in seconds at so many parts of all lookups, None for never."""
    never = float("inf")
    samples = report.samples
    columns = (
        [never if each.first is None else each.first for each in samples],
        [never if each.direct is None else each.direct for each in samples],
        [never if each.whole is None else each.whole for each in samples],
    )
    parts = [(point + 1) / _POINTS for point in range(_POINTS)]
    return [
        list(plain({str(at): quantile(column, part) for at, column in enumerate(columns)}).values()) for part in parts
    ]


def telling(plan: Plan, strategy: str) -> Callable[[str, int, int], None]:
    """What a simulation calls to say how far it is, as a line now and then."""
    estimate = Estimate(plan, [strategy])
    again = 0.0

    def tell(phase: str, done: int, total: int) -> None:
        nonlocal again
        now = time.monotonic()
        estimate.note(strategy, phase, done, total, now)
        if now >= again:
            again = now + _OFTEN
            say({"row": "progress", "part": round(estimate.part(), 4), "left": estimate.left()})

    return tell


def main(world: str, strategy: str, seed: int, *, quick: bool) -> None:
    """Simulate and say what came of it."""
    plan = plan_of(world, seed, quick=quick)
    simulation = Simulation(plan, strategy)
    report = simulation.run(telling(plan, strategy))
    line = {"row": "cold" if world == "warm" else world, "side": strategy, "repeat": seed, "figures": figures(report)}
    if world == "world" and seed == 1:
        line["curve"] = curve(report)
    say(line)
    if world == "warm":
        later = simulation.go_on(120.0 if quick else _WARMING, plan.lookups, telling(plan, strategy))
        say({"row": world, "side": strategy, "repeat": seed, "figures": figures(later)})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), quick="quick" in sys.argv[4:])
