"""From lines to ratios: ours ÷ theirs within each repeat, then the median of the repeats and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.environments import LABELS
from benchmarks.metrics import GOALS, Goal, Line, Metric, errors, metrics

OURS = "kadnet"


@dataclass(frozen=True, slots=True)
class Score:
    """One metric beside one peer, or (`peer` None) alone. `ratios` are of repeats in which both did their work."""

    metric: Metric
    peer: str | None
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True) if b > 0]

    @property
    def spread(self) -> tuple[float, float, float] | None:
        """(median, lowest, highest) of the ratios."""
        ratios = self.ratios
        return (median(ratios), min(ratios), max(ratios)) if ratios else None

    @property
    def gains(self) -> tuple[float, float, float] | None:
        """The same as how many times better kadnet is, whichever way is better; below 1 it is worse."""
        if self.spread is None or self.spread[1] <= 0:
            return None
        middle, low, high = self.spread
        return (middle, low, high) if self.metric.higher_is_better else (1 / middle, 1 / high, 1 / low)

    @property
    def verdict(self) -> str:
        """ "ahead", "behind", or "even" when some repeats say this and some that, or all are within a hundredth."""
        if self.gains is None:
            return "even"
        middle, low, high = self.gains
        if low <= 1 <= high or abs(middle - 1) < 0.01:
            return "even"
        return "ahead" if low > 1 else "behind"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A goal and what came of it: figure, lowest, highest, and the medians of both sides."""

    goal: Goal
    figure: float
    low: float
    high: float
    ours: float
    beside: float | None

    @property
    def met(self) -> bool:
        return self.goal.met(self.figure)


class Scoreboard:
    """All that the lines of one run say."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.metrics = metrics(lines)
        self.machine: Line = next((line for line in lines if line["row"] == "machine"), {})
        self.abouts: dict[str, Line] = {line["peer"]: line for line in lines if line["row"] == "about"}
        self.missing: dict[str, str] = {line["peer"]: line["error"] for line in lines if line["row"] == "environment"}
        seen = {line["peer"] for line in lines if "peer" in line}
        self.peers = [peer for peer in LABELS if peer in seen and peer != OURS]

    def values(self, metric: Metric, peer: str) -> dict[int, float]:
        """What a peer did in each repeat."""
        found: dict[int, float] = {}
        for line in self.lines:
            if line["row"] == metric.row and line["peer"] == peer and "error" not in line:
                value = metric.pick(line)
                if value is not None:
                    found[line["repeat"]] = value
        return found

    def score(self, metric: Metric, peer: str, beside: Metric | None = None) -> Score | None:
        """The metric beside a peer's (`beside`: another metric of the peer); None where they share no repeat."""
        ours, theirs = self.values(metric, OURS), self.values(beside or metric, peer)
        both = sorted(set(ours) & set(theirs))
        if not both:
            return None
        return Score(metric, peer, tuple(ours[at] for at in both), tuple(theirs[at] for at in both))

    def scores(self) -> list[Score]:
        """Every metric beside every peer that has it."""
        found = [self.score(metric, peer) for metric in self.metrics for peer in self.peers]
        return [score for score in found if score is not None]

    def errors(self) -> dict[tuple[str, str], list[str]]:
        """What went wrong, by (row, peer)."""
        return errors(self.lines, "peer")

    def goals(self) -> list[Outcome]:
        """What came of each goal that was measured."""
        by_key = {metric.key: metric for metric in self.metrics}
        found = [self._outcome(goal, by_key) for goal in GOALS if goal.metric in by_key]
        return [outcome for outcome in found if outcome is not None]

    def _outcome(self, goal: Goal, by_key: Mapping[str, Metric]) -> Outcome | None:
        metric = by_key[goal.metric]
        if goal.peer is None:
            alone = list(self.values(metric, OURS).values())
            return Outcome(goal, median(alone), min(alone), max(alone), median(alone), None) if alone else None
        score = self.score(metric, goal.peer, by_key[goal.beside] if goal.beside else None)
        if score is None or score.spread is None:
            return None
        return Outcome(goal, *score.spread, median(score.ours), median(score.theirs))

    def rows(self) -> list[dict[str, Any]]:
        """Every score, what kadnet does alone (`peer` None), and every goal, as JSON has them."""
        rows: list[dict[str, Any]] = []
        for score in self.scores():
            if score.spread is not None:
                figure, low, high = score.spread
                both = {"ours": median(score.ours), "theirs": median(score.theirs), "unit": score.metric.unit}
                names = {"row": score.metric.key, "peer": score.peer, "verdict": score.verdict}
                rows.append({**names, "figure": figure, "low": low, "high": high, **both})
        for metric in self.metrics:
            own = list(self.values(metric, OURS).values()) if metric.group == "own" else []
            if own:
                spread = {"figure": median(own), "low": min(own), "high": max(own)}
                rows.append({"row": metric.key, "peer": None, **spread, "unit": metric.unit})
        for outcome in self.goals():
            goal = {"row": outcome.goal.title, "goal": outcome.goal.text, "met": outcome.met}
            figures = {"figure": outcome.figure, "low": outcome.low, "high": outcome.high}
            rows.append({**goal, **figures, "ours": outcome.ours, "beside": outcome.beside})
        return rows
