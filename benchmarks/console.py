"""The scoreboard for a terminal: one block for each peer, what kadnet does alone, then the goals."""

from __future__ import annotations

from statistics import median

from benchmarks.document import figure, number
from benchmarks.environments import LABELS
from benchmarks.metrics import Metric
from benchmarks.scores import OURS, Scoreboard

_LEGEND = """
ratio: ours ÷ theirs, the median of the repeats, with the lowest and the highest; ours and theirs: medians.
better: whether more of it is better, or less. ahead: kadnet is better in every repeat; behind: worse in every repeat;
even: neither, or the median is within 1 % of 1."""

_RATIOS = f"{'ratio':>8} {'low':>8} {'high':>8}"


def table(board: Scoreboard) -> str:
    """What was finished, losses beside wins."""
    lines: list[str] = []
    for peer in board.peers:
        scores = [score for score in board.scores() if score.peer == peer and score.spread is not None]
        if scores:
            lines += [
                "",
                f"{'beside ' + LABELS[peer]:48} {_RATIOS} {'ours':>10} {'theirs':>10} {'unit':5} better  kadnet is",
            ]
        for score in scores:
            assert score.spread is not None
            ratios = " ".join(f"{number(ratio):>8}" for ratio in score.spread)
            both = " ".join(f"{figure(score.metric, median(side)):>10}" for side in (score.ours, score.theirs))
            lines.append(f"{_name(score.metric):48} {ratios} {both} {_unit(score.metric)} {score.verdict}")
    compared = bool(lines)
    lines += _alone(board)
    outcomes = board.goals()
    if outcomes:
        lines += ["", f"{'goals (their units are in their names)':48} {'figure':>8} {'low':>8} {'high':>8}  goal"]
    for outcome in outcomes:
        figures = " ".join(f"{number(value):>8}" for value in (outcome.figure, outcome.low, outcome.high))
        title = outcome.goal.title.replace("`", "")
        lines.append(f"{title:48} {figures}  {outcome.goal.text}{'' if outcome.met else '  MISSED'}")
    for peer, reason in board.missing.items():
        lines += ["", f"{LABELS[peer]}: {reason}"]
    for (row, peer), errors in board.errors().items():
        lines += ["", f"{LABELS[peer]}, {row}: {len(errors)} failed: {errors[0]}"]
    if compared:
        lines += _LEGEND.splitlines()
    return "\n".join(lines).strip("\n") or "nothing was finished"


def _alone(board: Scoreboard) -> list[str]:
    """What only kadnet was asked; there is nothing to divide it by."""
    lines = []
    for metric in board.metrics:
        own = list(board.values(metric, OURS).values()) if metric.group == "own" else []
        if own:
            figures = " ".join(f"{figure(metric, value):>8}" for value in (median(own), min(own), max(own)))
            lines.append(f"{_name(metric):48} {figures} {_unit(metric)}".rstrip())
    head = f"{'kadnet alone':48} {'figure':>8} {'low':>8} {'high':>8} {'unit':5} better"
    return ["", head, *lines] if lines else []


def _name(metric: Metric) -> str:
    nodes = metric.group.partition("-")[2] if metric.group.startswith("overlay-") else ""
    return f"{nodes:>4} {metric.title}"


def _unit(metric: Metric) -> str:
    return f"{metric.unit:5} {'more' if metric.higher_is_better else 'less':7}"
