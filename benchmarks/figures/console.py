"""The figures for a terminal: a block for each table, its controls beside ours, the reason below what is missed.

Where the terminal is too narrow for columns of the controls, they stand below each figure; a long name goes on in the
next line. From 60 columns on nothing is wider than the terminal.
"""

from __future__ import annotations

import math
import textwrap

from benchmarks.document import number
from benchmarks.figures.results import Outcome, Results, Spread
from benchmarks.figures.sheet import DATED, GROUPS, OURS, SIDES, Figure
from kadnet.cli.page import wrapped

_TITLE, _CELL = 52, 13
_LEAST, _BESIDE_LEAST = 14, 34  # of a title: at all, and where controls have columns
_FIGURES = 46  # ours, the lowest, the highest, the goal and the verdict
_STAGE = 18
_PROSE = 100  # where nothing bounds it


def table(results: Results, width: int | None = None) -> str:
    """What was finished, misses beside what is met. `width`: of the terminal, None where nothing bounds it."""
    lines: list[str] = []
    outcomes = results.outcomes()
    for group, title in GROUPS.items():
        mine = [outcome for outcome in outcomes if outcome.figure.group == group]
        if mine:
            lines += ["", *_block(results, group, title, mine, width)]
    if results.stages():
        room = _room(width, _STAGE)
        lines += ["", *_row(GROUPS["stages"], room, f" {'µs':>9} {'share':>7}")]
        for name, spent, part in results.stages():
            lines += _row(name, room, f" {number(spent):>9} {part:>6.0%}")
    for side, reason in results.missing.items():
        lines += ["", *wrapped(f"{SIDES[side]}: {reason}", width)]
    for (row, side), errors in results.errors().items():
        lines += ["", *wrapped(f"{SIDES[side]}, {row}: {len(errors)} failed: {errors[0]}", width)]
    missed = sum(not outcome.met for outcome in outcomes)
    if outcomes:
        goals = sum(outcome.verdict != "" for outcome in outcomes)
        lines += ["", f"{goals - missed} of {goals} goals are met, {missed} missed"]
    return "\n".join(lines).strip("\n") or "nothing was finished"


def _block(results: Results, group: str, title: str, outcomes: list[Outcome], width: int | None) -> list[str]:
    others = [side for side in results.sides(group) if side != OURS]
    aside = (_CELL + 1) * len(others)
    below = width is not None and width < _BESIDE_LEAST + _FIGURES + aside
    room = _room(width, _FIGURES if below else _FIGURES + aside)
    heads = "" if below else "".join(f" {SIDES[side][:_CELL]:>{_CELL}}" for side in others)
    lines = _row(title, room, f" {'kadnet':>9} {'low':>8} {'high':>8} {'goal':>9}{heads}")
    for outcome in outcomes:
        figure, ours = outcome.figure, outcome.ours
        spread = f" {amount(ours.middle):>9} {amount(ours.low):>8} {amount(ours.high):>8} {figure.goal:>9}"
        found = {side: _beside(results, figure, side) for side in others}
        cells = "" if below else "".join(f" {cell:>{_CELL}}" for cell in found.values())
        name = f"{figure.title}{', ' + figure.unit if figure.unit else ''}"
        verdict = outcome.verdict if outcome.met else "MISSED"
        lines += _row(name, room, f"{spread}{cells}  {verdict}")
        if below and any(found.values()):
            lines += _indented(", ".join(f"{SIDES[side]} {cell}" for side, cell in found.items() if cell), width)
        if not outcome.met:
            told = outcome.reason or "nobody has written down why (benchmarks/figures/reasons.py)"
            lines += _indented(f"{outcome.verdict}: {told}", width)
    return lines


def _room(width: int | None, taken: int) -> int:
    """For the names before so many columns."""
    return _TITLE if width is None else max(_LEAST, min(_TITLE, width - taken))


def _row(name: str, room: int, cells: str) -> list[str]:
    first, *more = textwrap.wrap(name, room, subsequent_indent="  ", break_on_hyphens=False)
    return [f"{first:{room}}{cells}".rstrip(), *more]


def _indented(text: str, width: int | None) -> list[str]:
    return ["    " + line for line in wrapped(text, (width or _PROSE) - 4)]


def _beside(results: Results, figure: Figure, side: str) -> str:
    found: Spread | None = results.spread(figure, side)
    return "" if found is None else amount(found.middle)


def amount(value: float) -> str:
    """Three digits that count, or that it never came."""
    return "never" if math.isinf(value) else number(value)


def dated(results: Results, figure: Figure, side: str) -> str | None:
    """The dated figure of a control that cannot be had here."""
    return DATED.get(figure.key, {}).get(side) if side in results.missing else None
