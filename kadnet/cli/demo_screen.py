"""How the demo looks: its phases, a live line on a terminal, the ring of nodes, and the table at the end.

The drawings are pure: numbers and places in, lines out. Colours and the live line are for terminals alone.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Collection, Sequence
from typing import Final, TextIO

from kadnet.cli.demo_story import Round
from kadnet.cli.demo_talk import AT_ONCE, BOTH_DIED, CAME_BACK, Talk
from kadnet.cli.page import columns, wrapped, writes
from kadnet.identity.text import printable

_WIDTH: Final = 88
_ARROW: Final = "→"
_BOLD, _RED, _GREEN = "1", "31", "32"
_CELL = re.compile(r"(?P<killed>x\d\dx)|(?P<holder>\[\d\d])")


class Screen:
    """Where the demo is told. Lines for everybody; a line that changes while one waits, on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._colours = self._live and not os.environ.get("NO_COLOR")
        self._phases = 0
        self._begun = False
        self._width = min(_WIDTH, _columns(stream)) if self._live else _WIDTH
        self._arrow = _ARROW if writes(stream, _ARROW) else "->"

    def title(self, text: str) -> None:
        self._line(self._in(_BOLD, text))

    def phase(self, name: str, sentence: str) -> None:
        """Open a phase: what it is called, and what is about to be seen."""
        self._phases += 1
        self._clear()
        self._line("")
        self._line(self._in(_BOLD, f"{self._phases}. {name}"))
        self._wrapped(sentence)

    def progress(self, done: int, total: int, what: str) -> None:
        """How far it is. The next line takes its place."""
        if self._live:
            filled = round(24 * done / total)
            self._stream.write(f"\r   {'#' * filled:.<24} {done:>3} of {total} {what}\x1b[K")
            self._stream.flush()

    def waiting(self, what: str) -> None:
        """What it waits for. The next line takes its place."""
        if self._live:
            self._stream.write(f"\r   {what} ...\x1b[K")
            self._stream.flush()

    def tell(self, text: str) -> None:
        """What has just been done."""
        self._clear()
        self._wrapped(printable(text, 1000))

    def begin(self, text: str) -> None:
        """The part of a line that is known already; `end` follows."""
        self._clear()
        self._begun = True
        self._put(f"   {printable(text, 1000)}")
        self._stream.flush()

    def end(self, text: str, *, good: bool = True) -> None:
        """The rest of a line."""
        self._begun = False
        self._line(self._in(_GREEN if good else _RED, printable(text, 1000)))
        self._stream.flush()

    def result(self, text: str, *, good: bool = True) -> None:
        """What came of a phase."""
        self._clear()
        told = printable(text, 1000)
        # On a terminal that is too narrow; in a file a result stays one line.
        for line in wrapped(told, self._width - 3 if self._live else None):
            self._line(f"   {self._in(_GREEN if good else _RED, line)}")
        self._stream.flush()

    def lines(self, lines: Sequence[str]) -> None:
        """A drawing or a table, with air around it."""
        self._line("")
        for line in lines:
            self._line(f"   {_CELL.sub(self._painted, line)}".rstrip())
        self._line("")
        self._stream.flush()

    def leave(self) -> None:
        """Leave no half line behind when the end comes early."""
        if self._begun:
            self.end("")
        self._clear()
        self._stream.flush()

    def _clear(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")

    def _wrapped(self, text: str) -> None:
        for line in wrapped(text, self._width - 3):
            self._line(f"   {line}")
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._put(text + "\n")

    def _put(self, text: str) -> None:
        self._stream.write(text.replace(_ARROW, self._arrow))

    def _painted(self, cell: re.Match[str]) -> str:
        return self._in(_RED if cell["killed"] else _GREEN, cell[0])

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and text else text


def ring(order: Sequence[int], holders: Collection[int], killed: Collection[int], inside: Sequence[str]) -> list[str]:
    """Nodes on a ring, clockwise from the top in the given order, with `inside` written in the middle.

    [07] holds the record that is spoken of, x07x was killed. At most 40 nodes have room.
    """
    radius = max(4, math.ceil(len(order) / 4))
    reach = min(max(24, 5 * radius), 36)  # wider than high, as cells are higher than wide, and labels need room
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


def talk_table(talk: Talk) -> list[str]:
    """What became of the messages."""
    delivered = {
        "delivered at once": AT_ONCE,
        "delivered after the receiver came back": CAME_BACK,
        "delivered after the sender's own death": BOTH_DIED,
    }
    rows = [["messages sent", str(len(talk.letters))]]
    for label, kind in delivered.items():
        letters = talk.of(kind)
        rows.append([label, f"{sum(letter.delivered for letter in letters)} of {len(letters)}"])
    rows.append(["seen twice", str(talk.twice)])
    rows.append(["milliseconds to the receipt, at once: median (most)", _median("{:.1f}", talk.receipts())])
    rows.append(["seconds from a return to an arrival: median (most)", _median("{:.1f}", talk.returns())])
    return columns(rows, "lr")


def since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"


def _columns(stream: TextIO) -> int:
    """How wide the terminal is."""
    try:
        return max(40, os.get_terminal_size(stream.fileno()).columns)
    except OSError:  # it will not say
        return _WIDTH


def _median(form: str, figures: tuple[float, float] | None) -> str:
    return "-" if figures is None else f"{form.format(figures[0])} ({form.format(figures[1])})"
