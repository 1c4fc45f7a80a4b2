"""What is run for `make figures`, beside what, and how long a person is told that it takes."""

from __future__ import annotations

import io

import pytest

from benchmarks.environments import Driver
from benchmarks.figures.crew import startable
from benchmarks.figures.plan import PEERS, Job, jobs, of_kill, of_overlay, peers_of
from benchmarks.figures.progress import Progress
from benchmarks.figures.sheet import FIGURES, GROUPS, ROWS, SIDES, rows_of
from tests.unit.benchmarks.lines import overlay

_DRIVERS = {peer: Driver(peer, (f"the driver of {peer}",)) for peer in peers_of(tuple(GROUPS))}


def job(row: str = "world", *, memory: int = 10, alone: bool = False, guess: float = 60.0) -> Job:
    return Job(row, "kadnet", 1, (), guess, memory, alone)


def test_every_figure_has_a_job_that_measures_its_row() -> None:
    planned = jobs(tuple(GROUPS), _DRIVERS, quick=False)
    rows = {each.row for each in planned} | {"apart", "threefold"}  # the script of `silent` prints all three
    assert {figure.row for figure in FIGURES} <= rows <= set(ROWS)
    assert {each.side for each in planned} <= set(SIDES)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_can_be_asked_for_by_itself(group: str) -> None:
    planned = jobs((group,), _DRIVERS, quick=True)
    assert planned
    assert {each.row for each in planned} <= (rows_of(group) or {group})


def test_a_quick_run_takes_a_fraction_of_a_whole_one() -> None:
    whole, quick = (sum(each.guess for each in jobs(tuple(GROUPS), _DRIVERS, quick=how)) for how in (False, True))
    assert quick < whole / 4


def test_what_runs_alone_comes_first_and_the_longest_of_the_rest_next() -> None:
    planned = jobs(tuple(GROUPS), _DRIVERS, quick=False)
    alone = [each.alone for each in planned]
    assert alone == sorted(alone, reverse=True)
    rest = [each.guess for each in planned if not each.alone]
    assert rest == sorted(rest, reverse=True)
    assert next(each.row for each in planned if not each.alone) == "warm"


def test_all_sides_do_one_row_in_a_repeat_before_the_next_repeat_begins() -> None:
    planned = jobs(("rpc",), _DRIVERS, quick=False)
    assert [(each.repeat, each.side) for each in planned] == [
        (repeat, side) for repeat in range(3) for side in PEERS["rpc"]
    ]


def test_a_control_that_cannot_be_had_is_left_out() -> None:
    here = {peer: each for peer, each in _DRIVERS.items() if peer != "libtorrent"}
    assert "libtorrent" not in {each.side for each in jobs(("get",), here, quick=True)}


def test_what_is_to_be_alone_waits_for_the_others_and_nobody_overtakes_it() -> None:
    alone, other = job("kill", alone=True), job()
    assert startable([alone, other], [], 2, 100) == [alone]
    assert startable([other, alone, other], [], 2, 100) == [other]
    assert startable([other], [alone], 2, 100) == []


def test_as_many_run_as_there_are_slots_and_memory() -> None:
    large, small = job(memory=80), job(memory=15)
    assert startable([small, small, small], [], 2, 100) == [small, small]
    assert startable([large, large, small], [], 2, 100) == [large, small]
    assert startable([small], [large], 2, None) == []


def test_a_job_too_large_for_the_memory_is_not_waited_for() -> None:
    large = job(memory=200)
    assert startable([large], [], 2, 100) == [large]


def test_the_scoreboards_lines_become_figures() -> None:
    found = of_overlay(32)(overlay("kadnet", 0, get=0.5, right=300))
    assert found == {"cpu_ms": 0.5, "gets_per_s": 100.0, "slowest_ms": 9.0, "success": 50.0, "kib": 500.0}
    gets = {"asked": 10, "right": 9, "p50_ms": 1.0, "p99_ms": 2.0}
    figures = of_kill({"before": gets, "after": {**gets, "p50_ms": None}})
    assert figures == {
        "before_p50_ms": 1.0, "before_p99_ms": 2.0, "after_p50_ms": None, "after_p99_ms": 2.0, "success": 90.0,
    }  # fmt: skip


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_with_what_is_done_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, long, short = Screen(), job("warm", guess=300.0), job(guess=100.0)
    progress = Progress(screen, [long, short], 2)
    progress.begin(long)
    progress.at(long, 0.5, 240.0)
    progress.show(1e9)
    assert "38 %  about 4 min left  warm, kadnet, 1 50 %" in screen.getvalue()
    progress.end(long, 200.0, None)
    assert "1/2  warm, kadnet, 1" in screen.getvalue()
    assert screen.getvalue().endswith("left)\n")


def test_a_file_has_a_line_for_each_job_that_ends_and_nothing_else() -> None:
    log, only = io.StringIO(), job()
    progress = Progress(log, [only], 2)
    progress.begin(only)
    progress.show(1e9)
    progress.end(only, 2.0, "no memory")
    progress.leave()
    assert " ".join(log.getvalue().split()) == "1/1 world, kadnet, 1 2.0 s: no memory"


def test_what_was_measured_is_the_guess_for_the_next_of_its_kind() -> None:
    first, second = job(guess=10.0), job(guess=10.0)
    progress = Progress(io.StringIO(), [first, second], 1)
    assert progress.left() == 20.0
    progress.begin(first)
    progress.end(first, 100.0, None)
    assert progress.left() == 100.0
