from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kadnet.cli.sim.runs import Interrupts, run_all
from kadnet.cli.sim.screen import Progress
from kadnet.cli.sim.worker import written
from kadnet.cli.sim.workers import at_once, run_beside
from kadnet.lab.model import STRATEGIES, Plan, Simulation

GIB = 2**30
SMALL = Plan(nodes=24, lookups=10, loss=0.01, stale=0.1)
LONG = Plan(nodes=2000, lookups=1000)


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process that is started."""
    all_of_them: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]  # whatever it was called with
            all_of_them.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return all_of_them


class Watched(Progress):
    """Presses Ctrl-C, once, as soon as anybody does anything."""

    pressed = False

    def at(self, strategy: str, phase: str, done: int, total: int) -> None:
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)


def test_as_many_run_at_once_as_there_are_processors_and_memory_for() -> None:
    needed = [GIB, 4 * GIB, 2 * GIB]
    assert at_once(needed, 100 * GIB, 8) == 3
    assert at_once(needed, 100 * GIB, 2) == 2
    assert at_once(needed, 7 * GIB, 8) == 2, "the two largest may meet"
    assert at_once(needed, 6 * GIB, 8) == 1, "so large that nothing is left for their interpreters"
    assert at_once(needed, GIB, 8) == 1
    assert at_once(needed, None, 8) == 1


def test_beside_each_other_they_find_what_they_find_alone(started: list[subprocess.Popen[bytes]]) -> None:
    names = list(STRATEGIES)
    stream = io.StringIO()
    with Interrupts() as interrupts:
        beside = run_beside(SMALL, names, Progress(stream, SMALL, names, at_once=2), interrupts, 2)
        alone = run_all(SMALL, names, Progress(io.StringIO(), SMALL, names), interrupts, Simulation)
    assert beside == alone
    assert [process.returncode for process in started] == [0] * 4
    assert stream.getvalue().count("joining 24 nodes") == 4


def test_ctrl_c_ends_all_of_them_and_collects_what_they_have(started: list[subprocess.Popen[bytes]]) -> None:
    names = list(STRATEGIES)
    with Interrupts() as interrupts:
        found = run_beside(LONG, names, Watched(io.StringIO(), LONG, names), interrupts, 2)
    assert interrupts.asked
    assert found
    assert {report.strategy for report in found} <= set(names[:2]), "those that wait are not begun"
    assert not any(report.complete for report in found)
    assert [process.poll() is None for process in started] == [False] * len(started)


def test_one_that_dies_is_an_error_of_one_line_and_none_is_left(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Interrupts() as interrupts:
        found = run_beside(LONG, ["kadnet", "k8-a3-2s"], Progress(io.StringIO(), LONG, list(STRATEGIES)), interrupts, 2)
    assert found == ()
    assert "ended without a result" in str(interrupts.failed)
    assert started
    assert all(process.returncode is not None for process in started)


def test_what_was_finished_is_kept_when_another_one_is_killed(started: list[subprocess.Popen[bytes]]) -> None:
    class Killing(Progress):
        def at(self, strategy: str, phase: str, done: int, total: int) -> None:
            if strategy == "k20-a3-5s":
                started[1].kill()

    names = ["k8-a3-2s", "k20-a3-5s", "kadnet"]
    with Interrupts() as interrupts:
        found = run_beside(SMALL, names, Killing(io.StringIO(), SMALL, names), interrupts, 1)
    assert [report.strategy for report in found] == ["k8-a3-2s"]
    assert found[0].complete
    assert "k20-a3-5s ended without a result" in str(interrupts.failed)
    assert len(started) == 2, "those that wait are not begun"


def test_a_worker_to_whom_nobody_listens_any_more_ends() -> None:
    words = [sys.executable, "-m", "kadnet.cli.sim.worker"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdin.write(written(LONG, "kadnet").encode() + b"\n")
        worker.stdin.flush()
        assert b'"join"' in worker.stdout.readline()
        worker.stdout.close()
        assert worker.wait(60) == 1
        assert worker.stderr.read() == b""
