"""The picture of `kadnet sim`: which part of the lookups had their answer within t, a curve for each strategy.

Two panels: the first value, and the k closest complete. The time axis is logarithmic. A lookup that never got its
answer is nowhere on it, so its curve ends below 100 %. A strategy that was cut short has a star, and one without any
lookup is named above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kadnet.cli.sim.style import GREY, OURS, looks, save, styled
from kadnet.cli.sim.table import finished, label, network, world

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kadnet.lab.model import Report, Sample

_LEAST: Final = 0.01  # ms: faster than any network; 0, an answer from nobody but oneself, has no place on this axis
_DIRECT: Final = "straight to the nearest holder"
_HEIGHTS: Final = (
    50,
    60,
    40,
    70,
    30,
    80,
    20,
    90,
    55,
    45,
    65,
    35,
    75,
    25,
    85,
    15,
    93,
    10,
)  # per cent: the best places of a name first
_LETTER: Final = 0.0157  # of the width of a panel
_LINE: Final = 7  # per cent: how high a name is, and some air


def draw(reports: Sequence[Report], path: Path, missing: Sequence[str] = (), *, interrupted: bool = False) -> bool:
    """Write the picture. False when there was nothing to draw. KadnetError when it cannot be written.

    `missing`: strategies that were asked for and had not begun when it was interrupted.
    """
    shown = [report for report in reports if report.samples]
    if not shown:
        return False
    absent = [*(report.strategy for report in reports if not report.samples), *missing]
    with styled():
        save(picture(shown, absent, interrupted=interrupted), path)
    return True


def picture(reports: Sequence[Report], absent: Sequence[str] = (), *, interrupted: bool = False) -> Figure:
    """The figure itself. Only inside `styled`, or it looks like anybody's; each report has a sample. `absent`:
    strategies of which there is none."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    halted = " (interrupted)" if interrupted else ""
    told = [f"How soon a lookup has its answer{halted}", world(reports[0].plan), network(reports[0].median_rtt)]
    if absent:
        told.append(f"no lookup was finished of {', '.join(absent)}")
    figure.suptitle("\n".join(told), x=0.008, ha="left", fontsize=13)
    ours = next((report for report in reports if report.strategy == OURS), reports[0])
    direct = sorted(_ms(sample.direct) for sample in ours.samples if sample.direct is not None)
    titles = {report.strategy: _title(report) for report in reports}
    _panel(left, _curves(reports, lambda sample: sample.first), direct, titles, "First value")
    _panel(right, _curves(reports, lambda sample: sample.whole), [], titles, "The k closest have answered")
    left.set_ylabel("lookups that have it, %")
    return figure


class _Title(NamedTuple):
    """What a strategy is called: beside its curve, and in the legend."""

    short: str
    whole: str


def _title(report: Report) -> _Title:
    short = label(report)
    return _Title(short, f"{short}:" if report.complete else f"{short}: {finished(report)}:")


def _curves(reports: Sequence[Report], of: Callable[[Sample], float | None]) -> dict[str, list[float]]:
    """The times of each strategy in ms, sorted; infinity for what never came."""
    return {report.strategy: sorted(_ms(of(sample)) for sample in report.samples) for report in reports}


def _panel(
    axes: Axes, curves: dict[str, list[float]], direct: list[float], titles: dict[str, _Title], title: str
) -> None:
    """A curve for each strategy, named where there is room, with its figures below. `direct`: the least that anybody
    could need, the round trip to the nearest living holder, without having to look for it."""
    found = [time for times in (*curves.values(), direct) for time in times if _LEAST < time < math.inf]
    first, last = (min(found), max(found)) if found else (1.0, 1000.0)
    start, end = first / 1.15, max(last * 1.15, first * 2)
    if direct:
        axes.step(direct, _shares(direct), where="post", color=GREY, linestyle=":", linewidth=1.5, label=_DIRECT)
    for name, look in looks(list(curves)).items():
        known = [max(start, time) for time in curves[name] if math.isfinite(time)]
        shares = [0.0, *_shares(curves[name])[: len(known)]]
        axes.step(
            [start, *known, end],
            [*shares, shares[-1]],
            where="post",
            label=_legend(titles[name].whole, curves[name]),
            color=look.colour,
            linestyle=look.dashes,
            linewidth=look.width,
            zorder=look.layer,
        )
    axes.set_title(title, fontweight="bold")
    _axes(axes, start, end)
    _names(axes, curves, direct, titles)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -0.13),
        borderaxespad=0.0,
        ncols=1,
        title="half have it after, 95 % after, and so many at all",
        alignment="left",
        handlelength=3.2,
    )


def _shares(times: Sequence[float]) -> list[float]:
    """Per cent of all that have come with each of them."""
    return [100 * (place + 1) / len(times) for place in range(len(times))]


def _legend(title: str, times: Sequence[float]) -> str:
    """`kadnet:  180 ms, 420 ms, 99.6 %`."""
    had = sum(map(math.isfinite, times)) / len(times)
    middle, most = (times[max(0, math.ceil(part * len(times)) - 1)] for part in (0.5, 0.95))
    return f"{title}  {_time(middle)}, {_time(most)}, {math.floor(1000 * had) / 10:g} %"


def _time(ms: float) -> str:
    if not math.isfinite(ms):
        return "never"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _ms(seconds: float | None) -> float:
    return math.inf if seconds is None else 1000 * seconds


def _names(axes: Axes, curves: dict[str, list[float]], direct: list[float], titles: dict[str, _Title]) -> None:
    """A name beside each curve, where it touches no other curve and no other name; none without such a place."""
    taken: list[Box] = []
    for name, look in looks(list(curves)).items():
        others = [times for other, times in (*curves.items(), ("", direct)) if other != name and times]
        at = next(
            (
                (box, left)
                for box, left in _places(curves[name], _LETTER * len(titles[name].short) + 0.03, *axes.get_xlim())
                if all(box.is_clear_of(other) for other in others) and not any(box.meets(other) for other in taken)
            ),
            None,
        )
        if at is None:
            continue
        box, left = at
        taken.append(box)
        axes.annotate(
            titles[name].short,
            (box.end, box.low) if left else (box.begin, box.high),
            xytext=(-6, 2) if left else (6, -2),
            textcoords="offset points",
            ha="right" if left else "left",
            va="bottom" if left else "top",
            color=look.colour,
            fontweight="bold" if name == OURS else "normal",
            zorder=5,
        )


class Box(NamedTuple):
    """A piece of a panel: ms by per cent."""

    begin: float
    end: float
    low: float
    high: float

    def is_clear_of(self, times: Sequence[float]) -> bool:
        """Whether a curve, which never falls, is past this height before the box begins or below it to its end."""
        return _crossing(times, min(100, self.high)) < self.begin or _crossing(times, self.low) > self.end

    def meets(self, other: Box) -> bool:
        return self.begin < other.end and other.begin < self.end and self.low < other.high and other.low < self.high


def _places(times: Sequence[float], room: float, start: float, end: float) -> Iterator[tuple[Box, bool]]:
    """Where a name that takes `room` of the axis may stand: left of its curve and above a point of it (True), or right
    of it and below, where a rising curve does not go."""
    wide = (end / start) ** room
    for height in _HEIGHTS:
        at = _crossing(times, height)
        if start < at / wide and at < math.inf:
            yield Box(at / wide, at, height, height + _LINE), True
        if start < at and at * wide < end:
            yield Box(at, at * wide, height - _LINE, height), False


def _crossing(times: Sequence[float], height: float) -> float:
    """When a curve reaches `height` per cent; infinity when never."""
    return times[min(len(times) - 1, math.ceil(height / 100 * len(times)) - 1)]


def _axes(axes: Axes, start: float, end: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(start, end)
    axes.set_ylim(0, 101.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if end / start < 300 else (1.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:,.0f}" if ms >= 1 else f"{ms:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("milliseconds since the lookup began")
    axes.tick_params(axis="y", labelleft=True)
