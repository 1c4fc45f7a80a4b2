"""The figures as Markdown, from the lines alone; `benchmarks.document.placed` puts them between the page's markers."""

from __future__ import annotations

from benchmarks.document import grid, number, plain
from benchmarks.figures.console import amount, dated
from benchmarks.figures.results import Outcome, Results, Spread
from benchmarks.figures.sheet import DATED, GROUPS, OURS, SIDES, Figure

_NO_REASON = "nobody has written down why"


def figures(results: Results, chart: str | None) -> str:
    """Everything between the markers. `chart`: where the picture is, as the document names it."""
    parts = [_when(results), _count(results)]
    for group, title in GROUPS.items():
        table = _stages(results) if group == "stages" else _table(results, group)
        if table:
            parts += [f"### {title}", table, *_notes(results, group)]
            if group == "world" and chart is not None:
                parts.append(f"![Which part of the lookups had its answer within t]({chart})")
    unmeasured = results.unmeasured()
    if unmeasured:
        parts += ["### Not measured", "\n".join(f"- {each.title} ({GROUPS[each.group]})." for each in unmeasured)]
    return "\n\n".join(part for part in parts if part)


def _when(results: Results) -> str:
    machine = results.machine
    if not machine:
        return ""
    date, system, python = (plain(machine[name]) for name in ("date", "system", "python"))
    return f"Measured on {date}: {machine['cpus']} processors, {machine['memory_gib']} GiB, {system}, Python {python}."


def _count(results: Results) -> str:
    outcomes = [outcome for outcome in results.outcomes() if outcome.verdict]
    missed = sum(not outcome.met for outcome in outcomes)
    return f"{len(outcomes) - missed} of {len(outcomes)} goals are met, {missed} missed."


def _table(results: Results, group: str) -> str:
    outcomes = [outcome for outcome in results.outcomes() if outcome.figure.group == group]
    if not outcomes:
        return ""
    known = {side for outcome in outcomes for side in DATED.get(outcome.figure.key, {}) if side in results.missing}
    others = [side for side in SIDES if side != OURS and (side in results.sides(group) or side in known)]
    rows = [["", "goal", "kadnet", "", *(SIDES[side] for side in others)]]
    for outcome in outcomes:
        figure = outcome.figure
        name = f"{figure.title}{', ' + figure.unit if figure.unit else ''}"
        beside = [_beside(results, figure, side) for side in others]
        rows.append([name, figure.goal, _cell(outcome.ours), _verdict(outcome), *beside])
    return grid(rows)


def _verdict(outcome: Outcome) -> str:
    return outcome.verdict if outcome.met else f"**{outcome.verdict}**"


def _cell(spread: Spread) -> str:
    middle = f"**{amount(spread.middle)}**"
    return middle if spread.is_single else f"{middle}<br>{amount(spread.low)}–{amount(spread.high)}"


def _beside(results: Results, figure: Figure, side: str) -> str:
    found = results.spread(figure, side)
    if found is not None:
        return _cell(found).replace("*", "")
    old = dated(results, figure, side)
    return f"† {old}" if old else "–"


def _notes(results: Results, group: str) -> list[str]:
    """Why goals are missed, and what could not be measured."""
    mine = [outcome for outcome in results.outcomes() if outcome.figure.group == group]
    notes = [
        f"**Missed**: {outcome.figure.title}: {outcome.reason or _NO_REASON}." for outcome in mine if not outcome.met
    ]
    rows = {outcome.figure.row for outcome in mine}
    for side, reason in results.missing.items():
        if any(side in DATED.get(outcome.figure.key, {}) for outcome in mine):
            notes.append(f"{SIDES[side]}: {plain(reason)}.")
    for (row, side), errors in results.errors().items():
        if row in rows:
            notes.append(f"{SIDES[side]}, {row}: {len(errors)} of its runs failed: {plain(errors[0])}.")
    return ["\n".join(f"- {note}" for note in notes)] if notes else []


def _stages(results: Results) -> str:
    spent = results.stages()
    if not spent:
        return ""
    rows = [["", "µs of a get", "share"]]
    rows += [[plain(name), number(each), f"{part:.0%}"] for name, each, part in spent]
    return grid([*rows, ["all of it", number(sum(each for _, each, _ in spent)), "100%"]])
