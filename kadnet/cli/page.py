"""What lines are drawn on: how wide it is, and whether it takes more than ASCII. Rows are made to fit here.

What gives way first are addresses, from the middle of the host: the port tells nodes of one machine apart, and the ID
stands beside it. Nothing is printed here.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TextIO

_GAP: Final = "  "
_LEAST: Final = 9  # characters of an address that still say something: "1...:7420"


@dataclass(frozen=True, slots=True)
class Page:
    """`width` in columns, None where nothing bounds it (a file, a pipe); `plain`: ASCII only."""

    width: int | None = None
    plain: bool = False

    @property
    def dots(self) -> str:
        return "~" if self.plain else "\u2026"

    def cut(self, line: str) -> str:
        """A line no wider than the page; what is missing is marked."""
        if self.width is None or len(line) <= self.width:
            return line
        return (line[: max(0, self.width - len(self.dots))] + self.dots)[: self.width]

    def shortened(self, address: str, room: int) -> str:
        """host:port in at most `room` characters; empty where too little of it would be left."""
        if len(address) <= room:
            return address
        host, _, port = address.rpartition(":")
        kept = room - len(port) - len(self.dots) - 1
        return f"{host[:kept]}{self.dots}:{port}" if room >= _LEAST and kept > 0 else ""


def page_of(stream: TextIO) -> Page:
    """The page that a stream is."""
    return Page(_width(stream), not writes(stream, "\u2500\u2502\u251c\u2514\u2026\u00d7"))


def writes(stream: TextIO, text: str) -> bool:
    """Whether the encoding of a stream has all characters of a text."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def wrapped(text: str, width: int | None) -> list[str]:
    """Prose as lines of at most `width` columns, words with hyphens in one piece; one line where nothing bounds it."""
    return [text] if width is None else textwrap.wrap(text, width, break_on_hyphens=False)


def columns(rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Rows as aligned lines; `right` has an `r` for each column that is set to the right, any other letter if not."""
    if not rows:
        return []
    widths = _widths(rows)
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if right[place : place + 1] == "r" else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(_GAP.join(cells).rstrip())
    return lines


def missing(rows: Sequence[Sequence[str]], page: Page) -> int:
    """How many columns the page lacks for these rows; 0 when they fit."""
    if page.width is None or not rows:
        return 0
    widths = _widths(rows)
    return max(0, sum(widths) + len(_GAP) * (len(widths) - 1) - page.width)


def fitted(rows: Sequence[Sequence[str]], right: str, page: Page, addresses: int) -> list[str]:
    """`columns`, no wider than the page: the column numbered `addresses` gives way, then the end of each line."""
    lacking = missing(rows, page)
    if lacking:
        room = _widths(rows)[addresses] - lacking
        short = [page.shortened(row[addresses], room) for row in rows[1:]]
        if room < _LEAST or not all(short):
            rows = [[*row[:addresses], *row[addresses + 1 :]] for row in rows]
            right = right[:addresses] + right[addresses + 1 :]
        else:
            told = [rows[0][addresses], *short]
            rows = [[*row[:addresses], cell, *row[addresses + 1 :]] for row, cell in zip(rows, told, strict=True)]
    return [page.cut(line) for line in columns(rows, right)]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]


def _width(stream: TextIO) -> int | None:
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):  # no terminal; or no file at all, or a closed one
        return None
