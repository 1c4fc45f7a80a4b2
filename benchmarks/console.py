"""The scoreboard for a terminal: one block for each peer, then the goals."""

from __future__ import annotations

from statistics import median

from benchmarks.document import number
from benchmarks.environments import LABELS
from benchmarks.scores import Scoreboard


def table(board: Scoreboard) -> str:
    """What was finished, losses beside wins."""
    lines: list[str] = []
    for peer in board.peers:
        scores = [score for score in board.scores() if score.peer == peer and score.spread is not None]
        if scores:
            lines += [
                "",
                f"{'beside ' + LABELS[peer]:48} {'ratio':>8} {'low':>8} {'high':>8} {'ours':>10} {'theirs':>10}",
            ]
        for score in scores:
            assert score.spread is not None
            ratios = " ".join(f"{number(ratio):>8}" for ratio in score.spread)
            both = f"{number(median(score.ours)):>10} {number(median(score.theirs)):>10}"
            lines.append(f"{_name(score.metric.group, score.metric.title):48} {ratios} {both}  {score.verdict}")
    outcomes = board.goals()
    if outcomes:
        lines += ["", f"{'goals':48} {'figure':>8} {'low':>8} {'high':>8}  goal"]
    for outcome in outcomes:
        figures = " ".join(f"{number(value):>8}" for value in (outcome.figure, outcome.low, outcome.high))
        title = outcome.goal.title.replace("`", "")
        lines.append(f"{title:48} {figures}  {outcome.goal.text}{'' if outcome.met else '  MISSED'}")
    for peer, reason in board.missing.items():
        lines += ["", f"{LABELS[peer]}: {reason}"]
    for (row, peer), errors in board.errors().items():
        lines += ["", f"{LABELS[peer]}, {row}: {len(errors)} failed: {errors[0]}"]
    return "\n".join(lines).strip("\n") or "nothing was finished"


def _name(group: str, title: str) -> str:
    return f"{group.partition('-')[2]:>4} {title}" if group.startswith("overlay-") else f"{'':4} {title}"
