"""Runs several simulations beside each other, each in a process of its own, where there are processors and memory.

A simulation shares nothing with the next, so it finds the same alone and in company. The processes are in a session of
their own: Ctrl-C reaches this one, which tells them to end, collects what they have, and leaves none behind.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from kadnet.cli.sim.worker import report_of, written
from kadnet.errors import KadnetError

if TYPE_CHECKING:
    from kadnet.cli.sim.runs import Interrupts
    from kadnet.cli.sim.screen import Progress
    from kadnet.lab.model import Plan, Report

_GLANCE: Final = 0.1  # seconds from Ctrl-C to the word that it was heard
_INTERPRETER: Final = 96 * 2**20  # bytes that a process takes before it simulates anything
_PIECE: Final = 1 << 16  # bytes read at once


def processors() -> int:
    """How many this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def at_once(needed: Sequence[int], available: int | None, processors: int) -> int:
    """How many simulations fit beside each other. `needed`: bytes of each; `available`: bytes, None when unknown.

    Unknown memory is one at a time. One alone is never refused here.
    """
    if available is None:
        return 1
    largest = sorted(needed, reverse=True)
    fit = [count for count in range(1, len(largest) + 1) if sum(largest[:count]) + count * _INTERPRETER <= available]
    return max(1, min(len(fit), processors))


def run_beside(
    plan: Plan, strategies: Sequence[str], progress: Progress, interrupts: Interrupts, count: int
) -> tuple[Report, ...]:
    """As `runs.run_all`, `count` at a time.

    When a process ends without a word the others are asked to end, and `interrupts.failed` says so: what was finished
    is not lost.
    """
    with _Crew(plan, progress) as crew:
        interrupts.at_the_second(crew.kill)
        waiting = list(strategies)
        while crew.working or (waiting and not interrupts.ending):
            if interrupts.ending:
                crew.stop()
            while waiting and crew.working < count and not interrupts.ending:
                crew.start(waiting.pop(0))
            if crew.working:
                crew.listen()
            interrupts.failed = crew.failed
        return tuple(crew.reports[name] for name in strategies if name in crew.reports)


class _Worker:
    """One process, and what it has said of a line so far."""

    def __init__(self, plan: Plan, strategy: str) -> None:
        self.strategy = strategy
        self.asked_to_end = False
        self.said = b""
        # Its modules are ours, wherever ours come from, and never what lies about in the working directory.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kadnet.cli.sim.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        with suppress(BrokenPipeError):  # it has ended already: its stdout says so too
            with _pipe(self.process.stdin) as stdin:
                stdin.write(written(plan, strategy).encode() + b"\n")

    @property
    def out(self) -> IO[bytes]:
        return _pipe(self.process.stdout)


class _Crew:
    """The processes that work, and the reports of those that are through."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.reports: dict[str, Report] = {}
        self.failed: KadnetError | None = None
        self._plan = plan
        self._progress = progress
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.out.close()
        self._selector.close()

    @property
    def working(self) -> int:
        return len(self._workers)

    def start(self, strategy: str) -> None:
        worker = _Worker(self._plan, strategy)
        self._workers.append(worker)
        self._selector.register(worker.out, selectors.EVENT_READ, worker)

    def stop(self) -> None:
        """Ask all to end and to say what they have, once."""
        for worker in self._workers:
            if not worker.asked_to_end:
                worker.asked_to_end = True
                worker.process.terminate()

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def listen(self) -> None:
        """What they say in the next moment; what is shown goes on also when they say nothing."""
        self._progress.tick()
        for key, _ in self._selector.select(_GLANCE):
            worker: _Worker = key.data
            piece = os.read(worker.out.fileno(), _PIECE)
            *lines, worker.said = (worker.said + piece).split(b"\n")
            for line in lines:
                self._hear(worker, line)
            if not piece:
                self._end(worker)

    def _hear(self, worker: _Worker, line: bytes) -> None:
        said = json.loads(line)
        if "at" in said:
            self._progress.at(worker.strategy, *said["at"])
        else:
            self.reports[worker.strategy] = report_of(self._plan, said["report"])

    def _end(self, worker: _Worker) -> None:
        self._selector.unregister(worker.out)
        worker.out.close()
        code = worker.process.wait()
        self._workers.remove(worker)
        self._progress.end(worker.strategy)
        if worker.strategy not in self.reports and not worker.asked_to_end:
            self.failed = KadnetError(
                f"the simulation of {worker.strategy} ended without a result (exit code {code})",
                hint="if memory ran out, simulate fewer --nodes",
            )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
