"""Runs the scripts one after the other and keeps their JSON lines. Leaves no process behind, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.environments import LABELS, ROOT
from benchmarks.plan import Job

Line = dict[str, Any]


class Failed(Exception):
    """A script that did not do its work; the text says why, in one line."""


def run(command: Sequence[str], env: Mapping[str, str], limit: float) -> list[Line]:
    """The JSON lines that a script prints. Raises Failed.

    It runs in a session of its own: so a Ctrl-C reaches us alone, and we end it with all that it started.
    """
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"had not ended after {limit:.0f} s") from None
        finally:
            end(process)
            if process.stdout is not None:
                process.stdout.close()
        complaints.seek(0)
        said = [line.strip() for line in complaints.read().decode(errors="replace").splitlines() if line.strip()]
    if process.returncode:
        raise Failed(telling(said) or f"ended with code {process.returncode}")
    try:
        lines: list[Line] = [json.loads(line) for line in output.splitlines() if line.strip()]
    except ValueError:
        raise Failed(f"printed what is no JSON: {output.splitlines()[-1]!r:.80}") from None
    if not lines:
        raise Failed("printed nothing")
    return lines


def end(process: subprocess.Popen[bytes]) -> None:
    """End a script and all that it started; it is in a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def telling(said: Sequence[str]) -> str:
    """The line of a complaint that says most: the last one that names an error, else the last one."""
    named = [line for line in said if "Error" in line or "error" in line]
    return (named or said or [""])[-1]


class Recorder:
    """The lines of this run, in memory and in a file, each on disk as soon as it is there."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.lines: list[Line] = []
        path.write_text("")

    def note(self, line: Line) -> None:
        self.lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class Progress:
    """What is being done, and how long it may still take: the last time of each job is the guess for the next."""

    def __init__(self, plan: Sequence[Job], repeats: int) -> None:
        self._left = list(plan)
        self._repeats = repeats
        self._taken: dict[tuple[str, str], float] = {}

    def begin(self, job: Job) -> None:
        left = sum(self._taken.get((each.row, each.peer), each.guess) for each in self._left)
        what = f"{job.repeat + 1}/{self._repeats}  {job.row:14} {LABELS[job.peer]:18}"
        print(f"  {what} ({ahead(left)}) ", end="", file=sys.stderr, flush=True)

    def end(self, job: Job, seconds: float, trouble: str | None) -> None:
        self._left.remove(job)
        self._taken[job.row, job.peer] = seconds
        print(f"{seconds:.1f} s{'' if trouble is None else f': {trouble}'}", file=sys.stderr, flush=True)


def ahead(seconds: float) -> str:
    """A time to come for a person: no finer than a guess is."""
    if seconds > 90:
        return f"about {seconds / 60:.0f} min left"
    return f"about {10 * max(1, round(seconds / 10))} s left"


def work_off(plan: Sequence[Job], repeats: int, prefix: Sequence[str], recorder: Recorder) -> None:
    """Do all jobs in turn. What fails is recorded as an error, and the run goes on."""
    progress = Progress(plan, repeats)
    for job in plan:
        progress.begin(job)
        began = time.monotonic()
        trouble = None
        try:
            for line in run([*prefix, *job.command], job.env, job.limit):
                recorder.note({"repeat": job.repeat, **line, "row": job.row, "peer": job.peer})
        except Failed as failure:
            trouble = str(failure)
            recorder.note({"row": job.row, "peer": job.peer, "repeat": job.repeat, "error": trouble})
        progress.end(job, time.monotonic() - began, trouble)
