"""The scoreboard as a picture: how many times better kadnet is, row by row, on a log axis.

Right of the line kadnet is better, left of it worse; a factor takes the same room on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import LABELS
from benchmarks.metrics import Metric
from benchmarks.scores import Score, Scoreboard

# Okabe and Ito's colours, which eyes of all kinds tell apart; shapes tell them apart once more.
_STYLES = {
    "kademlia": ("#0072B2", "o"),
    "libtorrent": ("#D55E00", "s"),
    "pylibp2p": ("#CC79A7", "D"),
    "opendht": ("#009E73", "^"),
    "hyperdht": ("#E69F00", "v"),
    "bare": ("#000000", "x"),
}
_TITLES = {"kill": "some of the nodes killed", "pair": "one to one, and the largest value"}
_ROW_INCHES = 0.44
_WIDTH_INCHES = 10.0


def draw(board: Scoreboard, path: Path) -> None:
    """Write the picture as SVG, the same bytes for the same lines. Raises ImportError without matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "kadnet"
    matplotlib.rcParams["svg.fonttype"] = "path"
    scores = [score for score in board.scores() if score.gains is not None]
    groups = _groups(board, scores)
    if not groups:
        return
    heights = [len(metrics) + 0.6 for _, metrics in groups]
    figure = Figure(figsize=(_WIDTH_INCHES, _ROW_INCHES * sum(heights) + 1.9), layout="constrained")
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    reach = max(max(gains[2], 1 / gains[1]) for score in scores if (gains := score.gains) is not None)
    for axis, (group, metrics) in zip(axes, groups, strict=True):
        _draw_group(axis, group, metrics, scores, board.peers)
        axis.set_xscale("log")
        axis.set_xlim(1 / (reach * 1.5), reach * 1.5)
    axes[-1].xaxis.set_major_formatter(_factor)
    axes[-1].set_xlabel("← kadnet is worse        times        kadnet is better →", fontsize=11)
    figure.suptitle("kadnet beside its peers, on one machine in one run", fontsize=14)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    ordered = [label for label in LABELS.values() if label in handles]
    shown = [handles[label] for label in ordered]
    figure.legend(shown, ordered, loc="outside lower center", ncols=len(ordered), frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _groups(board: Scoreboard, scores: Sequence[Score]) -> list[tuple[str, list[Metric]]]:
    """The metrics that have anything to show, by group."""
    shown = {score.metric.key for score in scores}
    names = list(dict.fromkeys(metric.group for metric in board.metrics))
    groups = [(name, [each for each in board.metrics if each.group == name and each.key in shown]) for name in names]
    return [(name, metrics) for name, metrics in groups if metrics]


def _draw_group(axis: Any, group: str, metrics: list[Metric], scores: Sequence[Score], peers: Sequence[str]) -> None:
    rows = {metric.key: len(metrics) - 1 - at for at, metric in enumerate(metrics)}
    for peer in peers:
        mine = [score for score in scores if score.peer == peer and score.metric.key in rows]
        colour, shape = _STYLES[peer]
        lane = 0.12 * ((len(peers) - 1) / 2 - list(peers).index(peer))
        for score in mine:
            assert score.gains is not None
            middle, low, high = score.gains
            axis.errorbar(
                middle,
                rows[score.metric.key] + lane,
                xerr=[[middle - low], [high - middle]],
                fmt=shape,
                color=colour,
                markersize=6,
                elinewidth=1.2,
                capsize=2,
                label=LABELS[peer],
            )
    axis.axvspan(1e-9, 1, color="#F6E7E4", zorder=0)
    axis.axvspan(1, 1e9, color="#E6F0E8", zorder=0)
    axis.axvline(1, color="#444444", linewidth=1)
    for row in range(len(metrics) - 1):
        axis.axhline(row + 0.5, color="white", linewidth=1)
    axis.set_yticks(list(rows.values()), [metric.title for metric in metrics])
    axis.set_ylim(-0.6, len(metrics) - 0.4)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="white", linewidth=0.8)
    axis.set_title(_TITLES.get(group) or f"{group.partition('-')[2]} nodes in one process", loc="left", fontsize=11)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _factor(value: float, _position: int) -> str:
    return f"{value:g}×" if value >= 1 else f"1/{1 / value:g}"
