from __future__ import annotations

import io
import os
import re
from itertools import pairwise

import pytest

from kadnet.cli.sim.screen import Estimate, Progress, _Smooth
from kadnet.lab.model import Plan

PLAN = Plan(nodes=1000, lookups=500)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


# ------------------------------------------------------------------------------------------------------- the estimate


def through(estimate: Estimate, strategy: str, began: float, *lasting: float) -> float:
    """A strategy whose phases take so many seconds each."""
    now = began
    for phase, seconds in zip(("join", "settle", "look up"), lasting, strict=True):
        estimate.note(strategy, phase, 0, 10, now)
        now += seconds
        estimate.note(strategy, phase, 10, 10, now)
    estimate.end(strategy)
    return now


def test_nothing_is_known_before_something_is_measured() -> None:
    estimate = Estimate(PLAN, ["a", "b"])
    assert estimate.left() is None
    estimate.note("a", "join", 0, 1000, 5.0)
    assert estimate.left() is None
    assert estimate.part() == 0.0


def test_a_phase_goes_on_at_its_speed() -> None:
    estimate = Estimate(PLAN, ["a"])
    estimate.note("a", "join", 10, 10, 0.0)
    estimate.note("a", "settle", 10, 10, 0.0)
    estimate.note("a", "look up", 0, 500, 0.0)
    estimate.note("a", "look up", 100, 500, 20.0)
    assert estimate.left() == pytest.approx(80.0)


def test_what_one_strategy_took_is_expected_of_the_next() -> None:
    estimate = Estimate(PLAN, ["a", "b", "c"])
    through(estimate, "a", 0.0, 60.0, 30.0, 10.0)
    assert estimate.left() == pytest.approx(200.0)
    assert estimate.part() == pytest.approx(1 / 3)


def test_a_strategy_that_is_slower_so_far_is_expected_to_stay_so() -> None:
    estimate = Estimate(PLAN, ["a", "b"])
    now = through(estimate, "a", 0.0, 60.0, 30.0, 10.0)
    estimate.note("b", "join", 0, 10, now)
    estimate.note("b", "join", 10, 10, now + 120.0)
    estimate.note("b", "settle", 0, 10, now + 120.0)
    assert estimate.left() == pytest.approx(2 * (30.0 + 10.0))


def test_two_at_once_take_half_as_long_but_never_less_than_one_of_them() -> None:
    estimate = Estimate(PLAN, ["a", "b", "c"], at_once=2)
    through(estimate, "a", 0.0, 60.0, 30.0, 10.0)
    assert estimate.left() == pytest.approx(100.0)
    estimate.end("b")
    assert estimate.left() == pytest.approx(100.0)


def test_what_is_done_never_goes_back() -> None:
    estimate = Estimate(PLAN, ["a", "b"])
    estimate.note("a", "join", 0, 1000, 0.0)
    estimate.note("a", "join", 1000, 1000, 10.0)
    shown = estimate.part()
    assert 0 < shown < 1
    estimate.note("a", "settle", 0, 60, 10.0)
    estimate.note("a", "settle", 6, 60, 510.0)
    left = estimate.left()
    assert left is not None
    assert left > 4000, "it takes far longer than was thought"
    assert estimate.part() == shown


# ---------------------------------------------------------------------------------------------------- how it is shown


def test_a_terminal_has_one_bar_with_what_is_done_and_the_time_left(clock: Clock) -> None:
    stream = Terminal()
    progress = Progress(stream, PLAN, ["k8-a3-2s", "k20-a3-5s"], clock=clock)
    progress.at("k8-a3-2s", "join", 0, 1000)
    clock.now += 10
    progress.at("k8-a3-2s", "join", 640, 1000)
    last = stream.getvalue().rpartition("\r")[2]
    assert "k8-a3-2s: joining 640 of 1,000 nodes" in last
    assert last.startswith("#")
    assert last.endswith("s left\x1b[K")
    progress.leave()
    assert stream.getvalue().endswith("\r\x1b[K")
    assert "\n" not in stream.getvalue()


def test_a_terminal_is_not_redrawn_more_often_than_it_can_be_read(clock: Clock) -> None:
    stream = Terminal()
    progress = Progress(stream, PLAN, ["kadnet"], clock=clock)
    for done in range(500):
        clock.now += 0.001
        progress.at("kadnet", "join", done, 1000)
    assert 2 <= stream.getvalue().count("\r") <= 7


def test_the_bar_is_never_wider_than_the_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((50, 24)))
    monkeypatch.setattr(Terminal, "fileno", lambda _self: 2, raising=False)
    stream = Terminal()
    progress = Progress(stream, PLAN, ["k20-a10-10s"], clock=clock)
    progress.at("k20-a10-10s", "join", 0, 1000)
    clock.now += 100
    progress.at("k20-a10-10s", "join", 999, 1000)
    shown = stream.getvalue().replace("\x1b[K", "").split("\r")
    assert max(map(len, shown)) <= 49
    assert "left" in shown[-1]


def test_elsewhere_there_is_a_line_for_each_phase(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    progress = Progress(stream, PLAN, ["k8-a3-2s", "kadnet"], clock=clock)
    for phase in ("join", "settle", "look up"):
        for done in range(11):
            clock.now += 0.5
            progress.at("kadnet", phase, done, 10)
    progress.leave()
    first, second, third = stream.getvalue().splitlines()
    assert first == "kadnet (2 of 2): joining 10 nodes"
    assert second.startswith("kadnet (2 of 2): settling, ")
    assert third.startswith("kadnet (2 of 2): 10 lookups, ")
    assert third.endswith(" left")
    monkeypatch.setenv("TERM", "dumb")
    dumb = Terminal()
    Progress(dumb, PLAN, ["kadnet"], clock=clock).at("kadnet", "join", 0, 1000)
    assert dumb.getvalue() == "kadnet (1 of 1): joining 1,000 nodes\n"


def test_elsewhere_no_ten_seconds_pass_without_a_line(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, PLAN, ["kadnet", "k8-a3-2s"], at_once=2, clock=clock)
    progress.at("kadnet", "join", 0, 1000)
    progress.at("k8-a3-2s", "join", 0, 1000)
    quiet = [clock.now]
    for step in range(600):  # a minute; one of them says nothing for the second half
        clock.now += 0.1
        before = stream.getvalue()
        if step < 300:
            progress.at("k8-a3-2s", "join", step, 1000)
        progress.tick()
        if stream.getvalue() != before:
            quiet.append(clock.now)
    quiet.append(clock.now)
    assert max(after - before for before, after in pairwise(quiet)) < 10
    *_, last = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d+ %: kadnet: joining 0 %, k8-a3-2s: joining 29 %, .* left", last)
    assert len(stream.getvalue().splitlines()) < 12


def test_of_two_at_once_none_stands_still(clock: Clock) -> None:
    """The first to speak after a redrawing is not the only one that is shown."""
    stream = Terminal()
    progress = Progress(stream, PLAN, ["kadnet", "k20-a10-10s"], at_once=2, clock=clock)
    for done in range(0, 500, 10):
        clock.now += 0.11
        progress.at("kadnet", "join", done, 1000)
        clock.now += 0.01
        progress.at("k20-a10-10s", "join", done, 1000)
    assert "kadnet: joining 49 %, k20-a10-10s: joining 48 %" in stream.getvalue().rpartition("\r")[2]


def test_the_time_left_runs_down_and_does_not_jump(clock: Clock) -> None:
    smooth = _Smooth()
    assert smooth.of(None, 0.0) is None
    assert smooth.of(14.0, 0.0) == 14.0
    assert smooth.of(13.0, 1.0) == pytest.approx(13.0)
    shown = smooth.of(50.0, 1.1)
    assert shown is not None
    assert shown < 15
    for tenth in range(12, 400):
        shown = smooth.of(31.0, tenth / 10)
    assert shown == pytest.approx(25, abs=6), "it gets there"


def test_what_a_strategy_is_known_to_cost_is_expected_of_it() -> None:
    estimate = Estimate(PLAN, ["kadnet", "k8-a3-2s"])
    through(estimate, "kadnet", 0.0, 60.0, 30.0, 10.0)
    left = estimate.left()
    assert left is not None
    assert 10 < left < 20, "its joins are cheap"


def test_the_end_is_not_called_nothing_left(clock: Clock) -> None:
    stream = Terminal()
    progress = Progress(stream, PLAN, ["kadnet"], clock=clock)
    for phase in ("join", "settle", "look up"):
        progress.at("kadnet", phase, 0, 10)
        clock.now += 5
        progress.at("kadnet", phase, 10, 10)
    last = stream.getvalue().rpartition("\r")[2]
    assert "100 %" in last
    assert last.endswith("collecting the results\x1b[K")
    with progress.drawing():
        assert stream.getvalue().endswith("\rdrawing the curves\x1b[K")
    assert stream.getvalue().endswith("\r\x1b[K")
    elsewhere = io.StringIO()
    with Progress(elsewhere, PLAN, ["kadnet"], clock=clock).drawing():
        pass
    assert elsewhere.getvalue() == ""


def test_a_reader_that_is_gone_stops_nothing(clock: Clock) -> None:
    class Closed(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    progress = Progress(Closed(), PLAN, ["kadnet"], clock=clock)
    progress.at("kadnet", "join", 1, 1000)
    progress.leave()


def test_without_a_stderr_it_says_nothing_and_goes_on() -> None:
    progress = Progress(None, Plan(nodes=50, lookups=20), ["kadnet"])
    progress.at("kadnet", "join", 1, 50)
    progress.end("kadnet")
    progress.leave()
