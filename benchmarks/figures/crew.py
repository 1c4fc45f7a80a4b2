"""Runs the jobs: one alone, or several beside each other, and keeps each line as soon as it is printed.

Every script is in a session of its own, so that Ctrl-C reaches us alone; whatever happens, none is left behind. What a
script said before it failed or was interrupted counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Final, Self

from benchmarks.environments import ROOT
from benchmarks.figures.plan import Job
from benchmarks.figures.progress import Progress
from benchmarks.figures.reading import checked
from benchmarks.metrics import Line
from benchmarks.reading import Wrong
from benchmarks.runner import Failed, end, telling

_LOOK: Final = 0.1
"""Seconds between two looks at who has said what."""
_TAIL: Final = 65_536  # bytes of complaints that are read


class Running:
    """A job under way, and what it has said so far."""

    def __init__(self, job: Job, prefix: Sequence[str], now: float) -> None:
        self.job = job
        self.began = now
        self.lines = 0
        self._files = ExitStack()
        self._out: IO[bytes] = self._files.enter_context(_file())
        self._complaints: IO[bytes] = self._files.enter_context(_file())
        self._read = 0
        command = [*prefix, *job.command] if job.alone else list(job.command)
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **job.env},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._complaints,
            start_new_session=True,
        )

    def said(self) -> list[Any]:
        """The whole lines since the last time. Raises Failed for what is no JSON."""
        self._out.seek(self._read)
        whole, newline, _ = self._out.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        try:
            return [json.loads(line) for line in whole.splitlines() if line.strip()]
        except ValueError:
            raise Failed(f"printed what is no JSON: {whole.splitlines()[-1]!r:.80}") from None

    def trouble(self) -> str | None:
        """Why it did not do its work, once it has ended."""
        if self.process.returncode:
            self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - _TAIL))
            complaints = self._complaints.read().decode(errors="replace")
            said = [line.strip() for line in complaints.splitlines() if line.strip()]
            return telling(said) or f"ended with code {self.process.returncode}"
        return None if self.lines else "printed nothing"

    def close(self) -> None:
        end(self.process)
        self._files.close()


class Crew:
    """Everybody who works. Use it as a context: leaving ends them all."""

    def __init__(self, note: Callable[[Line], object], progress: Progress, prefix: Sequence[str]) -> None:
        """`note` is given each line that counts; `prefix` goes before the command of whoever runs alone."""
        self._note = note
        self._progress = progress
        self._prefix = prefix
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            self._running.pop().close()

    def work_off(self, jobs: Sequence[Job], slots: int, memory: int | None) -> None:
        """Do all of them, at most `slots` at a time. `memory`: bytes that may be taken; None: as many as one needs."""
        waiting = list(jobs)
        while waiting or self._running:
            for job in startable(waiting, [each.job for each in self._running], slots, memory):
                waiting.remove(job)
                if memory is not None and job.memory > memory:
                    self._fail(job, f"it needs {_gib(job.memory)} of memory, and {_gib(memory)} are free")
                else:
                    self._progress.begin(job)
                    self._running.append(Running(job, self._prefix, time.monotonic()))
            self._look()

    def _look(self) -> None:
        if self._running:
            time.sleep(_LOOK)
        now = time.monotonic()
        for each in list(self._running):
            ended = each.process.poll() is not None
            trouble = None
            try:
                for line in each.said():
                    self._heard(each, line)
                if ended:
                    trouble = each.trouble()
                elif now - each.began > each.job.limit:
                    trouble = f"had not ended after {each.job.limit:.0f} s"
            except (Failed, Wrong) as failure:
                trouble = str(failure)
            if ended or trouble is not None:
                self._running.remove(each)
                each.close()
                if trouble is not None:
                    self._record_failure(each.job, trouble)
                self._progress.end(each.job, now - each.began, trouble)
        self._progress.show(now)

    def _heard(self, each: Running, line: Any) -> None:
        if isinstance(line, Mapping) and line.get("row") == "progress":
            self._progress.at(each.job, float(line.get("part") or 0.0), line.get("left"))
            return
        each.lines += 1
        job = each.job
        if job.made is not None:
            line = {"row": job.row, "side": job.side, "repeat": job.repeat, "figures": dict(job.made(line))}
        self._note(checked(line))

    def _fail(self, job: Job, trouble: str) -> None:
        self._record_failure(job, trouble)
        self._progress.begin(job)
        self._progress.end(job, 0.0, trouble)

    def _record_failure(self, job: Job, trouble: str) -> None:
        self._note({"row": job.row, "side": job.side, "repeat": job.repeat, "error": trouble})


def startable(waiting: Sequence[Job], running: Sequence[Job], slots: int, memory: int | None) -> list[Job]:
    """Who of those that wait may begin now, in their order. Alone means alone; nobody overtakes who is to be alone.

    A job too large for the memory is among them when nobody else runs: it is to be told, not to be waited for.
    """
    found: list[Job] = []
    for job in waiting:
        beside = [*running, *found]
        if not beside:
            found.append(job)
        elif job.alone or any(each.alone for each in beside) or len(beside) >= slots or memory is None:
            break
        elif sum(each.memory for each in beside) + job.memory <= memory:
            found.append(job)
    return found


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
