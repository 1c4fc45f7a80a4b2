"""What came of a simulation: a sample for each lookup, and the figures that people compare."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kadnet.lab.model.plan import Plan
from kadnet.lab.model.putting import PutSample


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
    until the lookups began; `complete`: all that the plan asks for was done; `k`: how many copies a put makes;
    `size_estimates`: for how many nodes some of them hold the network after 16 lookups each, as a part of how many
    there are."""

    strategy: str
    plan: Plan
    median_rtt: float
    samples: tuple[Sample, ...]
    joins: int
    build_messages: int
    complete: bool
    puts: tuple[PutSample, ...] = ()
    size_estimates: tuple[float, ...] = ()
    k: int = 1


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
    if report.puts:
        figures |= _of_puts(report)
    return figures


def _of_puts(report: Report) -> dict[str, float]:
    """A put that did not return is infinitely late. `put_replicas`: copies with the k closest, as a part of k."""
    done = [math.inf if put.done is None else put.done for put in report.puts]
    errors = [abs(estimate - 1.0) for estimate in report.size_estimates]
    return {
        "put_p50": quantile(done, 0.5),
        "put_p95": quantile(done, 0.95),
        "put_replicas": mean(put.replicas_after_5s for put in report.puts) / report.k,
        "put_messages": mean(put.messages for put in report.puts),
        "size_error_p50": quantile(errors, 0.5),
        "size_error_p95": quantile(errors, 0.95),
    }
