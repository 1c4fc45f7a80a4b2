"""What a person reads on the terminal after a run: each figure with its unit, and which way is better."""

from __future__ import annotations

import pytest

from benchmarks import console
from benchmarks.scores import Scoreboard
from tests.unit.benchmarks.lines import Line, overlay, ping


def the_row(lines: list[Line], name: str) -> list[str]:
    shown = console.table(Scoreboard(lines)).splitlines()
    return next(line for line in shown if name in line).partition(name)[2].split()


def test_a_row_has_its_unit_and_says_which_way_is_better_and_who_is() -> None:
    lines = [ping("kadnet", 0, 300.0), ping("kademlia", 0, 100.0)]
    lines += [overlay("kadnet", 0, build=2.0), overlay("kademlia", 0, build=1.0)]
    assert the_row(lines, "32 in flight") == ["1", "1", "1", "100", "100", "/s", "more", "even"]
    assert the_row(lines, "build the overlay") == ["2", "2", "2", "2", "1", "s", "less", "behind"]
    assert the_row(lines[:2], "round trips per second, 32 in flight")[-3:] == ["/s", "more", "ahead"]


def test_what_ahead_behind_and_even_mean_is_said_where_they_stand() -> None:
    shown = console.table(Scoreboard([ping("kadnet", 0, 300.0), ping("kademlia", 0, 100.0)]))
    for word in ("ahead:", "behind:", "even:", "ratio: ours ÷ theirs"):
        assert word in shown
    assert "ahead:" not in console.table(Scoreboard([]))


@pytest.mark.parametrize("beside", ["kademlia", "bare"])
def test_what_only_kadnet_was_asked_has_a_row_beside_any_peer(beside: str) -> None:
    lines = [ping("kadnet", 0, 300.0), ping(beside, 0, 100.0)]
    lines += [{"row": "tasks", "peer": "kadnet", "repeat": at, "per_s": 200.0 + at} for at in range(3)]
    alone = {"row": "tasks", "peer": None, "figure": 201.0, "low": 200.0, "high": 202.0, "unit": "/s"}
    assert alone in Scoreboard(lines).rows()
    assert the_row(lines, "a task for each call") == ["201", "200", "202", "/s", "more"]
