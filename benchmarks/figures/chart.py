"""The latency curves of world W as a picture, drawn by what draws them for `kadnet sim --plot`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.modelled import plan_of
from benchmarks.metrics import Line
from kadnet.cli.sim.plot import draw as draw_reports
from kadnet.lab.model import STRATEGIES, Report, Sample


def draw(lines: Sequence[Line], path: Path) -> bool:
    """Write the picture as SVG, the same bytes for the same lines. False where there is no curve to draw.

    Each point of a curve stands for some of the lookups; see `modelled.curve`.
    """
    curves = {line["side"]: line["curve"] for line in lines if line["row"] == "world" and line.get("curve")}
    return draw_reports([_report(name, curves[name]) for name in STRATEGIES if name in curves], path)


def _report(strategy: str, curve: Sequence[tuple[float | None, float | None, float | None]]) -> Report:
    plan = plan_of("world", 1, quick=False)
    samples = tuple(Sample(first, direct, whole, 0, None, 0.0) for first, direct, whole in curve)
    return Report(strategy, plan, plan.network().median_round_trip, samples, plan.nodes, 0, complete=True)
