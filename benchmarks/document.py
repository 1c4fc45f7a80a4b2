"""The scoreboard as Markdown, from the lines alone, and its place in the document: between two markers."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from statistics import median

from benchmarks.dated import DATE, DATED
from benchmarks.environments import LABELS
from benchmarks.metrics import Metric
from benchmarks.plan import TOO_SLOW, verb_of
from benchmarks.scores import OURS, Score, Scoreboard

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_VERBS = {"overlay": "overlay", "node": "nodes", "ping": "ping", "stream": "streams", "largest": "values"}
_MARKS = {"ahead": "▲", "behind": "▼", "even": "="}


class NoMarkers(Exception):
    """The document has no place for the figures."""


def number(value: float) -> str:
    """Three significant digits, thousands parted."""
    if value == 0 or abs(value) >= 100:
        rounded = float(f"{value:.3g}")
        return f"{rounded:,.0f}"
    return f"{value:.3g}"


def figure(metric: Metric, value: float) -> str:
    """A value of a metric: a limit in bytes exactly, what was measured in three digits."""
    return f"{value:,.0f}" if metric.unit == "bytes" else number(value)


def placed(document: str, figures: str) -> str:
    """The document with the figures between its markers, which stay the only ones. Raises NoMarkers."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or document.count(BEGIN) > 1 or document.count(END) > 1:
        raise NoMarkers(f"it needs the lines {BEGIN} and {END}, each once")
    between = figures.strip().replace("<!--", "&lt;!--")
    return f"{head}{BEGIN}\n\n{between}\n\n{END}{tail}"


def plain(text: str) -> str:
    """A text of somebody else on one line, none of whose characters mean anything to Markdown or HTML."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(line, quote=False))


def scoreboard(board: Scoreboard, chart: str) -> str:
    """Everything between the markers. `chart`: where the picture is, as the document names it."""
    parts = [_when(board), f"![How many times better kadnet is, row by row]({chart})", _legend()]
    groups = list(dict.fromkeys(metric.group for metric in board.metrics if metric.group != "own"))
    for group in groups:
        table = _table(board, group)
        if table:
            parts += [f"### {_title(board, group)}", table, *_notes(board, group)]
    parts += ["### What each side does not do", _does_not(board)]
    if board.goals():
        parts += ["### Goals", _goals(board)]
    return "\n\n".join(part for part in parts if part)


def _when(board: Scoreboard) -> str:
    machine = board.machine
    if not machine:
        return ""
    walls = "" if machine["loopback_only"] else " This machine allows no network namespace: nothing but their own "
    walls += "" if machine["loopback_only"] else "settings kept the peers on 127.0.0.1."
    known = [peer for peer in LABELS if peer in board.abouts]
    versions = ", ".join(f"{LABELS[peer]} {plain(board.abouts[peer]['version'])}" for peer in known)
    date, system, python = (plain(machine[name]) for name in ("date", "system", "python"))
    return (
        f"Measured on {date}: {machine['cpus']} processors, {machine['memory_gib']} GiB, "
        f"{system}, Python {python}, loopback, {machine['repeats']} repeats.{walls} {versions}."
    )


def _legend() -> str:
    return (
        "Each cell has ours ÷ theirs, the median of the repeats, with the lowest and the highest repeat, and below it "
        "the peer's own median. ▲ kadnet is better in every repeat, ▼ worse in every repeat, = neither. † is a dated "
        f"figure of {DATE} ([why](#the-others)), with no ratio. – is not measured: the notes say why."
    )


def _title(board: Scoreboard, group: str) -> str:
    if group.startswith("overlay-"):
        return f"An overlay of {group.partition('-')[2]} nodes in one process"
    if group == "kill":
        line = next(line for line in board.lines if line["row"] == "kill" and "error" not in line)
        return f"{line['processes']} nodes in processes of their own, {line['killed']} of them killed"
    return "One to one, and the largest value"


def _table(board: Scoreboard, group: str) -> str:
    metrics = [metric for metric in board.metrics if metric.group == group]
    ours = {metric.key: list(board.values(metric, OURS).values()) for metric in metrics}
    metrics = [metric for metric in metrics if ours[metric.key]]
    scores = {(metric.key, peer): board.score(metric, peer) for metric in metrics for peer in board.peers}
    peers = [peer for peer in board.peers if any(_has(scores[metric.key, peer], metric, peer) for metric in metrics)]
    if not metrics:
        return ""
    rows = [["", LABELS[OURS], *(LABELS[peer] for peer in peers)]]
    for metric in metrics:
        own = ours[metric.key]
        cells = [_cell(scores[metric.key, peer], metric, peer in board.missing, peer) for peer in peers]
        rows.append([f"{metric.title}, {metric.unit}", _spread(metric, own), *cells])
    if group.startswith("overlay-"):
        rows.append(["copies of a value (median)", *(_copies(board, group, peer) for peer in [OURS, *peers])])
    return grid(rows)


def _has(score: Score | None, metric: Metric, peer: str) -> bool:
    return score is not None or metric.key in DATED.get(peer, {})


def _cell(score: Score | None, metric: Metric, missing: bool, peer: str) -> str:
    if score is None or score.spread is None:
        dated = DATED.get(peer, {}).get(metric.key) if missing else None
        return f"† {dated}" if dated else "–"
    middle, low, high = (number(ratio) for ratio in score.spread)
    spread = "" if len(score.ratios) == 1 else f" ({low}–{high})"
    return f"{_MARKS[score.verdict]} **{middle}**{spread}<br>{figure(metric, median(score.theirs))}"


def _spread(metric: Metric, values: Sequence[float]) -> str:
    low, high = figure(metric, min(values)), figure(metric, max(values))
    return figure(metric, median(values)) + ("" if low == high else f"<br>{low}–{high}")


def _copies(board: Scoreboard, group: str, peer: str) -> str:
    found = [line.get("copies") for line in board.lines if line["row"] == group and line["peer"] == peer]
    known = [copies for copies in found if copies is not None]
    return number(median(known)) if known else "–"


def _notes(board: Scoreboard, group: str) -> list[str]:
    """Why cells are empty, and what failed."""
    notes = []
    rows = {metric.row for metric in board.metrics if metric.group == group}
    for peer in board.peers:
        label = LABELS[peer]
        if peer in board.missing:
            notes.append(f"{label}: {plain(board.missing[peer])}.")
        notes += [f"{label} is left out: {TOO_SLOW[peer, row]}." for row in rows if (peer, row) in TOO_SLOW]
        if peer != "bare":
            cannot = board.abouts.get(peer, {}).get("cannot", {})
            verbs = sorted({verb_of(row) for row in rows} & set(cannot))
            notes += [f"{label} has no {_VERBS[verb]}: {plain(cannot[verb])}." for verb in verbs]
    for (row, peer), errors in board.errors().items():
        if row in rows:
            notes.append(f"{LABELS[peer]}, {row}: {len(errors)} of its runs failed: {plain(errors[0])}.")
    if group == "pair":
        notes += [
            f"{LABELS[line['peer']]}, a value of {line['refused']:,} bytes: {plain(line['how'])}."
            for line in board.lines
            if line["row"] == "largest" and line.get("refused")
        ]
    return ["\n".join(f"- {note}" for note in notes)] if notes else []


def _does_not(board: Scoreboard) -> str:
    lines = []
    for peer in [OURS, *board.peers]:
        about = board.abouts.get(peer, {})
        if about.get("does_not"):
            lines.append(f"- {LABELS[peer]} does not: {plain('; '.join(about['does_not']))}.")
        if about.get("measured"):
            lines.append(f"  How it was set up: {plain('; '.join(about['measured']))}.")
    return "\n".join(lines)


def _goals(board: Scoreboard) -> str:
    rows = [["", "figure", "lowest", "highest", "goal", "ours", "beside"]]
    for outcome in board.goals():
        figures = [number(value) for value in (outcome.figure, outcome.low, outcome.high)]
        verdict = outcome.goal.text if outcome.met else f"{outcome.goal.text} **missed**"
        beside = "" if outcome.beside is None else number(outcome.beside)
        rows.append([outcome.goal.title, *figures, verdict, number(outcome.ours), beside])
    return grid(rows)


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; the first row is its head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
