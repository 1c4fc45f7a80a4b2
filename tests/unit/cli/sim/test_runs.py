from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from kadnet.cli.sim.runs import Interrupts


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """SIGINT as a terminal's programs have it, also when a shell runs the suite in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def nothing(phase: str, done: int, total: int) -> None:
    pass


def test_ctrl_c_ends_work_where_it_says_how_far_it_is_and_keeps_the_rest_from_beginning() -> None:
    did = []

    with Interrupts() as interrupts:
        progress = interrupts.heeding(nothing)

        def work() -> None:
            progress("join", 0, 10)
            ctrl_c()
            did.append("a whole step")
            progress("join", 1, 10)
            did.append("the next step")

        interrupts.stoppable(work)
        interrupts.stoppable(lambda: did.append("the next"))
    assert did == ["a whole step"]
    assert interrupts.asked


def test_outside_of_what_is_stoppable_ctrl_c_is_only_remembered() -> None:
    did = []
    with Interrupts() as interrupts:
        interrupts.stoppable(lambda: did.append("done"))
        ctrl_c()
        did.append("the table")
    assert did == ["done", "the table"]
    assert interrupts.asked


def test_a_second_ctrl_c_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    with Interrupts() as interrupts:
        interrupts.stoppable(ctrl_c)
        assert ends == []
        ctrl_c()
    assert ends == [130]


def test_a_job_that_hears_no_ctrl_c_goes_on_hearing_none() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    did = []

    def work() -> None:
        ctrl_c()
        did.append("done")

    with Interrupts() as interrupts:
        interrupts.stoppable(work)
    assert did == ["done"]
    assert not interrupts.asked


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
