"""The figures on a terminal: as wide as it is, and no word lost where it is narrow."""

from __future__ import annotations

import re

import pytest

from benchmarks.figures import console
from benchmarks.figures.results import Results
from benchmarks.figures.sheet import FIGURES, SIDES
from tests.unit.benchmarks.lines import Line

CONTROLS = ("k8-a3-2s", "k20-a3-5s", "k20-a10-10s")
WORDS = "it was not there when it was looked for, neither in the one place nor in the other"


def line(row: str, side: str, value: float) -> Line:
    return {"row": row, "side": side, "repeat": 1, "figures": {each.name: value for each in FIGURES if each.row == row}}


def everything() -> Results:
    """Every figure there is, many of them missed, three controls beside each, and what went wrong."""
    rows = {figure.row for figure in FIGURES}
    lines = [line(row, side, 1234.5) for row in rows for side in ("kadnet", *CONTROLS)]
    lines.append({"row": "stages", "side": "kadnet", "repeat": 0, "figures": {"sealing": 30.0, "the loop": 60.0}})
    lines.append({"row": "environment", "side": "libtorrent", "error": WORDS})
    lines.append({"row": "world", "side": "kadnet", "repeat": 2, "error": WORDS})
    return Results(lines)


def words(text: str) -> list[str]:
    """All that is said, wherever a line ends."""
    return re.split(r"[\s,:]+", text.strip())


@pytest.mark.parametrize("width", [60, 80, 100, 136, 200])
def test_no_line_of_the_figures_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, console.table(everything(), width).splitlines())) <= width


def test_what_is_said_on_a_narrow_terminal_is_all_that_is_said_on_a_wide_one() -> None:
    narrow, wide = words(console.table(everything(), 80)), words(console.table(everything(), 200))
    assert set(wide) - set(narrow) == set()
    assert [word for word in narrow if word == "MISSED"] == [word for word in wide if word == "MISSED"]


def test_controls_have_columns_where_there_is_room_and_stand_below_each_figure_where_not() -> None:
    results = Results([line("silent", "kadnet", 0.25), line("silent", "patient", 2.5)])
    wide = console.table(results, 120).splitlines()
    assert wide[0].split()[-4:] == SIDES["patient"].split()
    assert wide[1].split()[-2:] == ["(stated)", "2.5"]
    narrow = console.table(results, 80).splitlines()
    assert SIDES["patient"] not in narrow[0]
    assert narrow[1].split()[-1] == "(stated)"
    assert narrow[2] == "    timers of 2 s 2.5"
    assert max(map(len, narrow)) <= 80


def test_a_name_that_is_too_long_goes_on_in_the_next_line() -> None:
    lines = console.table(Results([line("silent", "kadnet", 0.25)]), 80).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("the same ÷ (short timer + 2 RTT)"))
    assert lines[at].endswith("met")
    assert lines[at + 1] == "  worst"


def test_how_far_a_goal_is_missed_stands_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.figures.results.REASONS", {"world messages": "the world is large"})
    figures = {"row": "world", "side": "kadnet", "repeat": 1, "figures": {"messages": 60.0}}
    lines = console.table(Results([figures]), 80).splitlines()
    assert lines[1].endswith("≤ 30  MISSED")
    assert lines[2] == "    MISSED by 100 %: the world is large"
