"""How the demo looks: its phases, a live line on a terminal, the ring of nodes, and the table at the end.

The drawings are pure: numbers and places in, lines out. Colours and the live line are for terminals alone.
"""

from __future__ import annotations

import math
import os
import re
import textwrap
from collections.abc import Collection, Sequence
from typing import Final, TextIO

from kadnet.cli.demo_story import Round
from kadnet.cli.render import columns
from kadnet.identity.text import printable

_WIDTH: Final = 88
_BOLD, _RED, _GREEN = "1", "31", "32"
_CELL = re.compile(r"(?P<killed>x\d\dx)|(?P<holder>\[\d\d])")


class Screen:
    """Where the demo is told. Lines for everybody; a line that changes while one waits, on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._colours = self._live and not os.environ.get("NO_COLOR")
        self._phases = 0

    def title(self, text: str) -> None:
        self._line(self._in(_BOLD, text))

    def phase(self, name: str, sentence: str) -> None:
        """Open a phase: what it is called, and what is about to be seen."""
        self._phases += 1
        self._line("")
        self._line(self._in(_BOLD, f"{self._phases}. {name}"))
        for line in textwrap.wrap(sentence, _WIDTH - 3, break_on_hyphens=False):
            self._line(f"   {line}")
        self._stream.flush()

    def progress(self, done: int, total: int, what: str) -> None:
        """How far it is. The next line takes its place."""
        if self._live:
            filled = round(24 * done / total)
            self._stream.write(f"\r   {'#' * filled:.<24} {done:>3} of {total} {what}\x1b[K")
            self._stream.flush()

    def result(self, text: str, *, good: bool = True) -> None:
        """What came of a phase."""
        self._clear()
        self._line(f"   {self._in(_GREEN if good else _RED, printable(text, 1000))}")

    def lines(self, lines: Sequence[str]) -> None:
        """A drawing or a table, with air around it."""
        self._line("")
        for line in lines:
            self._line(f"   {_CELL.sub(self._painted, line)}".rstrip())
        self._line("")

    def leave(self) -> None:
        """Leave no half line behind when the end comes early."""
        self._clear()
        self._stream.flush()

    def _clear(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")

    def _painted(self, cell: re.Match[str]) -> str:
        return self._in(_RED if cell["killed"] else _GREEN, cell[0])

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and text else text


def ring(order: Sequence[int], holders: Collection[int], killed: Collection[int], inside: Sequence[str]) -> list[str]:
    """Nodes on a ring, clockwise from the top in the given order, with `inside` written in the middle.

    [07] holds the record that is spoken of, x07x was killed. At most 40 nodes have room.
    """
    radius = max(4, math.ceil(len(order) / 4))
    reach = min(max(24, 5 * radius), 38)  # wider than high, as cells are higher than wide, and labels need room
    grid = [[" "] * (2 * reach + 4) for _ in range(2 * radius + 1)]

    def write(row: int, column: int, text: str) -> None:
        grid[row][column : column + len(text)] = text

    for place, number in enumerate(order):
        angle = 2 * math.pi * place / len(order)
        row = radius - round(radius * math.cos(angle))
        label = f"x{number:02}x" if number in killed else f"[{number:02}]" if number in holders else f" {number:02} "
        write(row, reach + round(reach * math.sin(angle)), label)
    for place, text in enumerate(inside):
        write(radius - len(inside) // 2 + place, reach + 2 - len(text) // 2, text)
    return ["".join(row).rstrip() for row in grid]


def table(before: Round, after: Round | None) -> list[str]:
    """What the gets took, before the kills and after them."""
    rounds = [before] if after is None else [before, after]
    rows = [["", "all alive", "after the kills"][: 1 + len(rounds)]]
    rows.append(["gets answered from the network", *(f"{r.answered} of {len(r.gets)}" for r in rounds)])
    shown = (
        ("datagrams_out", "datagrams sent per get", "{:g}"),
        ("datagrams_in", "datagrams received per get", "{:g}"),
        ("hops", "hops per get", "{:g}"),
        ("ms", "milliseconds per get", "{:.1f}"),
    )
    figures = [r.figures() for r in rounds]
    for name, label, form in shown:
        cells = [_median(form, found.get(name)) for found in figures]
        rows.append([f"{label}: median (most)", *cells])
    return columns(rows, "lrr")


def _median(form: str, figures: tuple[float, float] | None) -> str:
    return "-" if figures is None else f"{form.format(figures[0])} ({form.format(figures[1])})"
