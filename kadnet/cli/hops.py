"""A walk as a tree: each peer that was asked under the one that named it first, siblings in the order of asking.

Whom the walk began with stands at the left edge. Lines out, nothing printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kadnet.cli.page import Page, fitted, missing, wrapped
from kadnet.cli.render import SHORT, ended, place
from kadnet.shapes import Query, Walked

_HEAD: Final = ("id", "address", "path", "asked at", "answer", "shared", "new", "closest")
_RIGHT: Final = "llrrrrrl"
_ADDRESSES: Final = 1
_PATHS: Final = 2  # where the column stands that only a walk on several paths has
# Columns for each level of the tree, and how little may be left of the addresses for its sake: narrow steps are harder
# to read than addresses without their middle, and hardly any step at all is harder than no addresses.
_STEPS: Final = ((3, 15), (2, 0), (1, 0))
_ENDS: Final = {"failed": "none", "not asked": "none", "late": "late", "asked": "open"}


def tree(walked: Walked, page: Page) -> list[str]:
    """The hop tree, what its marks mean where there are any, and why the walk ended."""
    placed = list(_placed(walked.trace))
    ranks = {node.id: f"#{number}" for number, node in enumerate(walked.closest, 1)}
    twice = "x" if page.plain else "\u00d7"
    rows: list[list[str]] = []
    for step, left in _STEPS:
        rows = [list(_HEAD)] + [
            [_branch(lasts, step, page) + query.id[:SHORT], *_cells(query, twice), ranks.get(query.id, "")]
            for query, lasts in placed
        ]
        if all(query.path is None for query in walked.trace):
            rows = [row[:_PATHS] + row[_PATHS + 1 :] for row in rows]
        spare = max(0, max(len(row[_ADDRESSES]) for row in rows) - left)
        if missing(rows, page) <= spare:
            break
    right = _RIGHT if len(rows[0]) == len(_HEAD) else _RIGHT[:_PATHS] + _RIGHT[_PATHS + 1 :]
    lines = fitted(rows, right, page, _ADDRESSES) if placed else []
    for line in (*_legend(walked, twice), ended(walked)):
        lines += wrapped(line, page.width)
    return lines


def _placed(trace: Sequence[Query]) -> Iterator[tuple[Query, tuple[bool, ...]]]:
    """Each query from the top down, and for each of its ancestors below the edge and itself: is it the last child?"""
    ordered = sorted(trace, key=lambda query: query.started_ms)
    children: dict[str | None, list[Query]] = {}
    earlier: set[str] = set()
    for query in ordered:
        # Only who was asked before can have named it: whatever the trace says, nobody is lost and nothing goes round.
        children.setdefault(query.via if query.via in earlier else None, []).append(query)
        earlier.add(query.id)
    waiting: list[tuple[Query, tuple[bool, ...]]] = [(query, ()) for query in reversed(children.pop(None, []))]
    while waiting:
        query, lasts = waiting.pop()
        yield query, lasts
        below = children.pop(query.id, [])
        waiting += [(child, (*lasts, number == 0)) for number, child in enumerate(reversed(below))]


def _branch(lasts: tuple[bool, ...], step: int, page: Page) -> str:
    """What is drawn before an ID: a line past each ancestor that has younger siblings, and the own fork."""
    if not lasts:
        return ""
    past, fork, corner, dash = "||`-" if page.plain else "\u2502\u251c\u2514\u2500"
    before = "".join((" " if last else past).ljust(step) for last in lasts[:-1])
    return before + ((corner if lasts[-1] else fork) + dash * (step > 2)).ljust(step)


def _cells(query: Query, twice: str) -> tuple[str, ...]:
    answer = _ENDS.get(query.state, query.state) if query.rtt_ms is None else _ms(query.rtt_ms)
    return (
        place(query.address),
        "" if query.path is None else str(query.path),
        _ms(query.started_ms),
        answer if query.attempts < 2 else f"{answer} {twice}{query.attempts}",
        f"{query.shared_bits} bit{' ' if query.shared_bits == 1 else 's'}",
        str(query.brought) if query.brought else "-",
    )


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 99.95 else f"{value:.0f} ms"


def _legend(walked: Walked, twice: str) -> list[str]:
    """The marks that stand in the tree, in words."""
    often = sorted({query.attempts for query in walked.trace if query.attempts > 1})
    told = [f"{twice}{times}: asked {'twice' if times == 2 else f'{times} times'}" for times in often]
    states = {query.state for query in walked.trace if query.rtt_ms is None}
    if "late" in states:
        told.append("late: given up, though it may still answer")
    if "asked" in states:
        told.append("open: no answer when the walk ended")
    return ["; ".join(told)] if told else []
