"""What came of a simulation: a sample for each lookup, and the figures that people compare."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kadnet.lab.model.plan import Plan


@dataclass(frozen=True, slots=True)
class Sample:
    """One lookup. Times in seconds since it began.

    `first`: when the first value came, None when none did. `direct`: the round trip to the nearest holder that lives,
    the least that anybody could need (None when none lives). `whole`: when the k closest had all answered. `messages`:
    requests sent, repeated ones included. `hops`: how far off the holder of the first value was: 1, it was known
    beforehand. `recall`: the part of the k closest living nodes that was found.
    """

    first: float | None
    direct: float | None
    whole: float | None
    messages: int
    hops: int | None
    recall: float


@dataclass(frozen=True, slots=True)
class Report:
    """One strategy in one world. `median_rtt` in seconds; `joins` with those of churn; `build_messages`: requests sent
    until the lookups began; `complete`: all that the plan asks for was done."""

    strategy: str
    plan: Plan
    median_rtt: float
    samples: tuple[Sample, ...]
    joins: int
    build_messages: int
    complete: bool


def quantile(values: Iterable[float], part: float) -> float:
    """The value that `part` of the values do not exceed (the nearest rank). NaN when there are none."""
    ranked = sorted(values)
    if not ranked:
        return float("nan")
    return ranked[max(0, math.ceil(part * len(ranked) - 1e-9) - 1)]


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean. NaN when there are none."""
    some = list(values)
    return sum(some) / len(some) if some else float("nan")


def summary(report: Report) -> dict[str, float]:
    """The figures of a report; NaN where nothing was measured. A value not found is infinitely late."""
    samples = report.samples
    never = float("inf")
    first = [never if sample.first is None else sample.first for sample in samples]
    of_direct = [
        never if sample.first is None else sample.first / sample.direct
        for sample in samples
        if sample.direct is not None
    ]
    whole = [never if sample.whole is None else sample.whole for sample in samples]
    figures: dict[str, float] = {"lookups": len(samples)}
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        figures[f"first_{name}"] = quantile(first, part)
        figures[f"first_{name}_rtt"] = quantile(first, part) / report.median_rtt
        figures[f"first_{name}_direct"] = quantile(of_direct, part)
        figures[f"whole_{name}"] = quantile(whole, part)
    figures["messages"] = mean(sample.messages for sample in samples)
    figures["hops"] = mean(sample.hops for sample in samples if sample.hops is not None)
    figures["success"] = mean(sample.first is not None for sample in samples)
    figures["recall"] = mean(sample.recall for sample in samples)
    return figures
