"""The figures for a terminal: a block for each table, its controls beside ours, the reason below what is missed."""

from __future__ import annotations

import math
import textwrap

from benchmarks.document import number
from benchmarks.figures.results import Outcome, Results, Spread
from benchmarks.figures.sheet import DATED, GROUPS, OURS, SIDES, Figure

_TITLE, _CELL = 52, 13


def table(results: Results) -> str:
    """What was finished, misses beside what is met."""
    lines: list[str] = []
    outcomes = results.outcomes()
    for group, title in GROUPS.items():
        mine = [outcome for outcome in outcomes if outcome.figure.group == group]
        if mine:
            lines += ["", *_block(results, group, title, mine)]
    if results.stages():
        lines += ["", f"{GROUPS['stages']:{_TITLE}} {'µs':>9} {'share':>7}"]
        lines += [f"{name:{_TITLE}} {number(spent):>9} {part:>6.0%}" for name, spent, part in results.stages()]
    for side, reason in results.missing.items():
        lines += ["", f"{SIDES[side]}: {reason}"]
    for (row, side), errors in results.errors().items():
        lines += ["", f"{SIDES[side]}, {row}: {len(errors)} failed: {errors[0]}"]
    missed = sum(not outcome.met for outcome in outcomes)
    if outcomes:
        goals = sum(outcome.verdict != "" for outcome in outcomes)
        lines += ["", f"{goals - missed} of {goals} goals are met, {missed} missed"]
    return "\n".join(lines).strip("\n") or "nothing was finished"


def _block(results: Results, group: str, title: str, outcomes: list[Outcome]) -> list[str]:
    others = [side for side in results.sides(group) if side != OURS]
    heads = "".join(f" {SIDES[side][:_CELL]:>{_CELL}}" for side in others)
    lines = [f"{title:{_TITLE}} {'kadnet':>9} {'low':>8} {'high':>8} {'goal':>9}{heads}  verdict"]
    for outcome in outcomes:
        figure, ours = outcome.figure, outcome.ours
        spread = f"{amount(ours.middle):>9} {amount(ours.low):>8} {amount(ours.high):>8}"
        cells = "".join(f" {_beside(results, figure, side):>{_CELL}}" for side in others)
        name = f"{figure.title}{', ' + figure.unit if figure.unit else ''}"
        lines.append(f"{name:{_TITLE}} {spread} {figure.goal:>9}{cells}  {outcome.verdict}".rstrip())
        if not outcome.met:
            told = outcome.reason or "nobody has written down why (benchmarks/figures/reasons.py)"
            lines += textwrap.wrap(told, 100, initial_indent="    ", subsequent_indent="    ")
    return lines


def _beside(results: Results, figure: Figure, side: str) -> str:
    found: Spread | None = results.spread(figure, side)
    return "" if found is None else amount(found.middle)


def amount(value: float) -> str:
    """Three digits that count, or that it never came."""
    return "never" if math.isinf(value) else number(value)


def dated(results: Results, figure: Figure, side: str) -> str | None:
    """The dated figure of a control that cannot be had here."""
    return DATED.get(figure.key, {}).get(side) if side in results.missing else None
