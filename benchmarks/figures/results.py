"""From lines to verdicts: the median of the repeats, the lowest and the highest, and whether the goal is met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from benchmarks.document import number
from benchmarks.figures.reasons import REASONS
from benchmarks.figures.sheet import FIGURES, OURS, SIDES, Figure, rows_of
from benchmarks.metrics import Line, errors


class Spread(NamedTuple):
    """What came of one figure on one side: median of the repeats, lowest, highest. Infinity: it never came."""

    middle: float
    low: float
    high: float

    @property
    def is_single(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class Outcome:
    """A figure of ours, and what its goal says of it."""

    figure: Figure
    ours: Spread

    @property
    def met(self) -> bool:
        return self.figure.miss(self.ours.middle) == 0

    @property
    def verdict(self) -> str:
        """met, MISSED by so much of the bound, or nothing where there is no goal."""
        if self.figure.at_most is None and self.figure.at_least is None:
            return ""
        miss = self.figure.miss(self.ours.middle)
        if miss == 0:
            return "met"
        return "MISSED: it never came" if math.isinf(miss) else f"MISSED by {share(miss)}"

    @property
    def reason(self) -> str | None:
        """Why it is missed; None where it is met, or where nobody has written it down."""
        return None if self.met else REASONS.get(self.figure.key)


def share(part: float) -> str:
    """A part as per cent for a person; never 0 of something that is there."""
    return "less than 1 %" if part < 0.01 else f"{number(100 * part)} %"


class Results:
    """All that the lines of one run say."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.machine: Line = next((line for line in lines if line["row"] == "machine"), {})
        self.missing: dict[str, str] = {line["side"]: line["error"] for line in lines if line["row"] == "environment"}
        self._measured: dict[tuple[str, str, int], dict[str, float | None]] = {}
        for line in lines:
            if "figures" in line:
                at = line["row"], line["side"], line["repeat"]
                self._measured[at] = {**self._measured.get(at, {}), **line["figures"]}

    def sides(self, group: str) -> list[str]:
        """Who has a figure in a group, ours first."""
        rows = rows_of(group)
        seen = {side for row, side, _ in self._measured if row in rows}
        return [side for side in SIDES if side in seen]

    def values(self, figure: Figure, side: str) -> list[float]:
        """What came of it in each repeat; infinity for what never came."""
        repeats = sorted(at for row, whose, at in self._measured if (row, whose) == (figure.row, side))
        found = [self._value(figure, side, repeat) for repeat in repeats]
        return [value for value in found if value is not None]

    def spread(self, figure: Figure, side: str) -> Spread | None:
        """None where it was not measured."""
        values = self.values(figure, side)
        if not values:
            return None
        return Spread(median(values), min(values), max(values))

    def outcomes(self) -> list[Outcome]:
        """Every figure of ours that was measured."""
        found = [(figure, self.spread(figure, OURS)) for figure in FIGURES]
        return [Outcome(figure, ours) for figure, ours in found if ours is not None]

    def unmeasured(self) -> list[Figure]:
        """The figures with a goal that these lines say nothing of."""
        goals = [figure for figure in FIGURES if figure.at_most is not None or figure.at_least is not None]
        return [figure for figure in goals if not self.values(figure, OURS)]

    def errors(self) -> dict[tuple[str, str], list[str]]:
        """What went wrong, by (row, side)."""
        return errors(self.lines, "side")

    def stages(self) -> list[tuple[str, float, float]]:
        """(stage, microseconds of a get, its part of all of them), the dearest first."""
        known = [figures for (row, side, _), figures in self._measured.items() if (row, side) == ("stages", OURS)]
        spent = {name: value for figures in known for name, value in figures.items() if value is not None}
        whole = sum(spent.values())
        ranked = sorted(spent.items(), key=lambda each: -each[1])
        return [(name, value, value / whole if whole > 0 else 0.0) for name, value in ranked]

    def rows(self) -> list[dict[str, Any]]:
        """Every outcome as JSON has it, the controls beside it."""
        return [self._row(outcome) for outcome in self.outcomes()]

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        figure = outcome.figure
        beside = {side: self.spread(figure, side) for side in self.sides(figure.group) if side != OURS}
        verdict = {"verdict": outcome.verdict, "met": outcome.met, "reason": outcome.reason}
        names = {"figure": figure.key, "title": figure.title, "unit": figure.unit, "goal": figure.goal}
        ours = dict(zip(("ours", "low", "high"), map(_finite, outcome.ours), strict=True))
        others = {side: _finite(found.middle) for side, found in beside.items() if found is not None}
        return {**names, **ours, **verdict, "beside": others}

    def _value(self, figure: Figure, side: str, repeat: int) -> float | None:
        value = _read(self._measured.get((figure.row, side, repeat), {}), figure.name)
        if figure.over is None or value is None:
            return value
        over = figure.over
        divisor = _read(self._measured.get((over.row, over.side or side, repeat), {}), over.name)
        if divisor is None or not 0 < divisor < math.inf:
            return None
        return value / divisor


def _read(figures: dict[str, float | None], name: str) -> float | None:
    if name not in figures:
        return None
    value = figures[name]
    return math.inf if value is None else value


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
