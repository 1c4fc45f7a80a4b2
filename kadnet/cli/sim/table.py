"""What `kadnet sim` says at its end: the world in a line, a row for each strategy, and what the columns mean.

Pure: reports in, lines and plain JSON values out. No line is wider than 100 columns, and prose no wider than the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kadnet.cli.page import Page, columns, wrapped

if TYPE_CHECKING:
    from kadnet.lab.model import Plan, Report, Sample

_MARK: Final = "*"  # behind the name of a strategy that was cut short

_WIDTH: Final = 100
_CELL: Final = 5  # characters of a figure of time: "never" and 99.9 fit
_HEAD: Final = ("strategy", *("p50", "p95", "p99") * 2, "p50", "p95", "messages", "hops", "found", "recall")
# What stands above them: over which of the columns p50, p95, p99.
_GROUPS: Final = ((" first, × median ", 0, 2), (" first, × direct ", 3, 5), (" all k, s ", 6, 7))

_MEANING: Final = (
    "first: the time until the first value, in median round trips of this kind of network, and in direct round trips "
    "to the nearest living node that holds the value, which nobody can beat.",
    "all k: the time until the k closest nodes have answered. p95: 95 of 100 lookups took no longer.",
    "messages: requests sent for one lookup, on average. hops: 1 when the holder of the value was known.",
    "found: lookups that had the value at all. recall: how many of the k closest living nodes were met.",
)


def world(plan: Plan) -> str:
    """The world in words."""
    parts = [
        f"{plan.nodes:,} nodes",
        f"{100 * plan.stale:g} % stale",
        f"{100 * plan.loss:g} % loss",
        "no churn" if plan.churn is None else f"median session {plan.churn / 60:g} min ({plan.sessions})",
        f"seed {plan.seed}",
    ]
    return ", ".join(parts)


def network(median_rtt: float) -> str:
    """How far apart nodes are: where the latencies come from, not in this one world. `median_rtt` in seconds."""
    return f"median round trip of this kind of network: {1000 * median_rtt:.0f} ms"


def label(report: Report) -> str:
    """The name of a strategy, with a star when it was cut short: the same in the table and in the picture."""
    return report.strategy if report.complete else f"{report.strategy}{_MARK}"


def finished(report: Report) -> str:
    """How much of a strategy that was cut short there is."""
    return f"{len(report.samples):,} of {_lookups(report.plan.lookups)}"


def table(
    plan: Plan,
    reports: Sequence[Report],
    missing: Sequence[str] = (),
    *,
    interrupted: bool = False,
    page: Page | None = None,
) -> list[str]:
    """All of it. `missing`: strategies that were asked for and had not begun when it was interrupted.

    `page`: what it is printed on; the sentences are made to fit it, while the figures keep their columns.
    """
    from kadnet.lab.model import summary

    halted = "interrupted after" if interrupted else "ended with"
    width = _WIDTH if page is None or page.width is None else min(_WIDTH, page.width)
    head = [f"{world(plan)}; {_lookups(plan.lookups)} each", *(network(report.median_rtt) for report in reports[:1])]
    lines = [*_prose(head, width), ""]
    if reports:
        rows = [_row(report, summary(report)) for report in reports]
        aligned = columns([_HEAD, *rows], "l" + "r" * 12)
        lines += [_groups(aligned[0]), *aligned, ""]
    notes = [f"{_MARK} {report.strategy}: {halted} {finished(report)}" for report in reports if not report.complete]
    if plan.dying and 2 * plan.lookups > plan.nodes - plan.dying:
        notes.append(
            "lookups find out the dead: with so many for so few nodes, the last ones meet fewer than the first"
        )
    if missing:
        notes.append(f"interrupted before {', '.join(missing)} could begin")
    lines += [*_prose(notes, width), *([""] if notes and reports else [])]
    return [*lines, *_prose(_MEANING if reports else (), width)]


def _prose(sentences: Sequence[str], width: int) -> list[str]:
    return [line for sentence in sentences for line in wrapped(sentence, width)]


def _lookups(count: int) -> str:
    return f"{count:,} lookups" if count != 1 else "1 lookup"


def _row(report: Report, found: dict[str, float]) -> list[str]:
    return [
        label(report),
        *(_times(found[f"first_{part}_rtt"]).rjust(_CELL) for part in ("p50", "p95", "p99")),
        *(_times(found[f"first_{part}_direct"]).rjust(_CELL) for part in ("p50", "p95", "p99")),
        *(_seconds(found[f"whole_{part}"]).rjust(_CELL) for part in ("p50", "p95")),
        _times(found["messages"]),
        _times(found["hops"]),
        _share(found["success"]),
        _share(found["recall"]),
    ]


def _odd(value: float) -> str | None:
    """Words for what is no number: nothing was measured, or it never came."""
    return "-" if math.isnan(value) else "never" if math.isinf(value) else None


def _times(value: float) -> str:
    return _odd(value) or (f"{value:.1f}" if value < 99.95 else _whole(value))


def _seconds(value: float) -> str:
    return _odd(value) or (f"{value:.2f}" if value < 9.995 else _times(value))


def _whole(value: float) -> str:
    """At most five characters, as far as any figure goes."""
    return f"{value:.0f}" if value < 99_999.5 else f"{value:.0e}"


def _share(value: float) -> str:
    """Per cent, rounded down: what is not all is never called 100 %."""
    return _odd(value) or f"{math.floor(1000 * value + 1e-9) / 10:.1f}%"


def _groups(head: str) -> str:
    """The line above the headings, each group over its columns."""
    ends = [place + 3 for place in range(len(head)) if head[place : place + 3] in _HEAD[1:4]]
    line = [" "] * len(head)
    for text, first, last in _GROUPS:
        start, end = ends[first] - _CELL, ends[last]
        line[start:end] = text.center(end - start, "-")
    return "".join(line).rstrip()


def as_json(
    plan: Plan, strategies: Sequence[str], reports: Sequence[Report], *, interrupted: bool
) -> dict[str, object]:
    """The plan and all results as plain JSON values. What is no number (never, not measured) is null."""
    return {
        "plan": {
            "nodes": plan.nodes,
            "lookups": plan.lookups,
            "loss": plan.loss,
            "stale": plan.stale,
            "churn": plan.churn,
            "sessions": plan.sessions,
            "seed": plan.seed,
            "strategies": list(strategies),
        },
        "interrupted": interrupted,
        "median_rtt": reports[0].median_rtt if reports else None,
        "strategies": [_result(report) for report in reports],
    }


def _result(report: Report) -> dict[str, object]:
    from kadnet.lab.model import summary

    figures = summary(report)
    return {
        "strategy": report.strategy,
        "complete": report.complete,
        "joins": report.joins,
        "build_messages": report.build_messages,
        "summary": {name: _number(value) for name, value in figures.items()},
        "samples": _samples(report.samples),
    }


def _samples(samples: Sequence[Sample]) -> dict[str, list[float | None]]:
    """A list for each field, so that a name is written once and not for every lookup."""
    return {
        "first": [_number(sample.first) for sample in samples],
        "direct": [_number(sample.direct) for sample in samples],
        "whole": [_number(sample.whole) for sample in samples],
        "messages": [_number(sample.messages) for sample in samples],
        "hops": [_number(sample.hops) for sample in samples],
        "recall": [_number(sample.recall) for sample in samples],
    }


def _number(value: float | None) -> float | None:
    """A number as JSON has it: microseconds are enough, and infinity and NaN are not to be had."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 6)
