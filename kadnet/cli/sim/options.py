"""What was typed after `kadnet sim`, checked before any work begins: the plan, the strategies, the memory they take.

Whatever cannot be is an InputError here, so that nobody waits a minute to be told.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from kadnet.errors import InputError

if TYPE_CHECKING:
    from kadnet.lab.model import Plan

MOST_NODES: Final = 1_000_000
"""Far above what one process can hold in memory."""
MOST_LOOKUPS: Final = 1_000_000
"""Each keeps a sample until the end."""
MOST_SEED: Final = 2**63 - 1
"""As large as whole numbers are in other programs that may read our JSON."""
_SPARE: Final = 64 * 2**20  # bytes left for the table, the picture, and what else runs


@dataclass(frozen=True, slots=True)
class Typed:
    """The options that shape the world, in the units of the command line. `churn` in minutes, the rest in per cent."""

    nodes: int
    lookups: int
    loss: float
    stale: float
    churn: float | None
    sessions: Literal["exponential", "weibull"] | None
    seed: int


class Number(click.ParamType[float]):
    """A number from `least` to `most`, both included; with `%` behind it, if that is what it counts."""

    name = "number"

    def __init__(self, least: float, most: float, unit: str) -> None:
        self.least, self.most, self.unit = least, most, unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%") if self.unit == "per cent" else text)
        except ValueError:
            number = math.nan
        if not self.least <= number <= self.most:  # nor is NaN between them
            self.fail(f"{text!r} is not a number of {self.unit} from {self.least:g} to {self.most:,.0f}", param, ctx)
        return number


class Whole(click.ParamType[int]):
    """A whole number from `least` to `most`, both included."""

    name = "integer"

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            number = self.least - 1
        if not self.least <= number <= self.most:
            self.fail(f"{str(value)!r} is not a whole number from {self.least} to {self.most:,}", param, ctx)
        return number


PER_CENT: Final = Number(0, 100, "per cent")
MINUTES: Final = Number(1, 525_600, "minutes")  # up to a year; a session under a minute ends before the node has joined


def plan_of(typed: Typed) -> Plan:
    """The world that was typed. InputError where it cannot be."""
    from kadnet.lab.model import Plan

    if typed.sessions is not None and typed.churn is None:
        raise InputError(
            "--sessions says how long nodes stay, but without --churn all stay", hint="add --churn MINUTES"
        )
    return Plan(
        nodes=typed.nodes,
        lookups=typed.lookups,
        loss=typed.loss / 100 + 0.0,  # -0 is 0
        stale=typed.stale / 100 + 0.0,
        churn=None if typed.churn is None else typed.churn * 60,
        sessions=typed.sessions or "exponential",
        seed=typed.seed,
    )


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The strategies that were named, in the order of the table and each once; all when none was."""
    from kadnet.lab.model import STRATEGIES

    for name in names:
        if name not in STRATEGIES:
            near = difflib.get_close_matches(name, STRATEGIES, n=1, cutoff=0.5)
            guess = f", did you mean {near[0]!r}?" if near else ""
            raise InputError(f"there is no strategy {name!r}{guess}", hint=f"there are {', '.join(STRATEGIES)}")
    return tuple(name for name in STRATEGIES if name in names or not names)


def check_memory(plan: Plan, strategies: Sequence[str], available: int | None) -> None:
    """InputError when a strategy takes more memory than there is. `available` in bytes, None when unknown."""
    from kadnet.lab.model import bytes_needed

    needed = max(bytes_needed(plan, strategy) for strategy in strategies)
    if available is not None and needed + _SPARE > available:
        raise InputError(
            f"{plan.nodes:,} nodes and {plan.lookups:,} lookups take about {_gib(needed)} of memory, "
            f"and {_gib(available)} are free",
            hint="simulate fewer --nodes",
        )


def _gib(count: int) -> str:
    gib = count / 2**30
    return f"{gib:,.1f} GiB" if gib >= 1 else f"{count / 2**20:,.0f} MiB"
