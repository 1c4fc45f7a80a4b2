"""How far `make figures` is: on a terminal one line that is written anew, elsewhere a line for each job that ends."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from typing import Final, TextIO

from benchmarks.figures.plan import Job
from benchmarks.figures.sheet import SIDES
from benchmarks.runner import ahead

_BAR: Final = 20
_REDRAW: Final = 0.2  # seconds


class Progress:
    """`begin`, `at` and `end` are told by whoever runs the jobs; `show` draws."""

    def __init__(self, stream: TextIO, jobs: Sequence[Job], slots: int) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._slots = slots
        self._waiting = list(jobs)
        self._whole = sum(job.guess for job in jobs) or 1.0
        self._began: dict[int, float] = {}
        self._parts: dict[int, tuple[float, float | None]] = {}
        self._doing: list[Job] = []
        self._taken: dict[tuple[str, str], float] = {}
        self._spent = self._guessed = 0.0
        self._total = len(self._waiting)
        self._ended = 0
        self._next = 0.0

    def begin(self, job: Job) -> None:
        self._waiting.remove(job)
        self._doing.append(job)
        self._began[id(job)] = time.monotonic()

    def at(self, job: Job, part: float, left: float | None) -> None:
        """A job says how far it is: the part that is done, and seconds left as it thinks itself."""
        self._parts[id(job)] = part, left

    def end(self, job: Job, seconds: float, trouble: str | None) -> None:
        self._doing.remove(job)
        self._parts.pop(id(job), None)
        self._ended += 1
        if trouble is None:
            self._taken[job.row, job.side] = seconds
            self._spent += seconds
            self._guessed += job.guess
        self._clear()
        told = f"{seconds:.1f} s" if trouble is None else f"{seconds:.1f} s: {trouble}"
        left = f" ({ahead(self.left())})" if self._waiting or self._doing else ""
        print(f"  {self._ended}/{self._total}  {name(job):42} {told}{left}", file=self._stream, flush=True)

    def left(self) -> float:
        """Seconds that all of it may still take. What was measured once is the guess for the next of its kind; the
        others are guessed as well or ill as those that have ended were."""
        now = time.monotonic()
        pace = self._spent / self._guessed if self._guessed > 0 else 1.0
        doing = []
        for job in self._doing:
            _, own = self._parts.get(id(job), (0.0, None))
            doing.append(own if own is not None else max(0.0, self._guess(job, pace) - (now - self._began[id(job)])))
        alone = sum(self._guess(job, pace) for job in self._waiting if job.alone)
        beside = [self._guess(job, pace) for job in self._waiting if not job.alone]
        return alone + max(sum((*doing, *beside)) / self._slots, *doing, *beside, 0.0)

    def show(self, now: float) -> None:
        """Draw, where somebody looks, and not too often."""
        if not self._live or now < self._next:
            return
        self._next = now + _REDRAW
        part = min(1.0, self._done() / self._whole)
        bar = "█" * round(_BAR * part) + "░" * (_BAR - round(_BAR * part))
        doing = "; ".join(self._told(job) for job in self._doing)
        line = f"{bar} {100 * part:3.0f} %  {ahead(self.left())}  {doing}"
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{line[:width]}")
        self._stream.flush()

    def leave(self) -> None:
        """Nothing more comes."""
        self._clear()

    def _clear(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _done(self) -> float:
        waiting = sum(job.guess for job in self._waiting)
        doing = sum(job.guess * (1 - self._parts.get(id(job), (0.0, None))[0]) for job in self._doing)
        return self._whole - waiting - doing

    def _told(self, job: Job) -> str:
        part, own = self._parts.get(id(job), (0.0, None))
        return name(job) if own is None else f"{name(job)} {100 * part:.0f} %"

    def _guess(self, job: Job, pace: float) -> float:
        return self._taken.get((job.row, job.side), job.guess * pace)


def name(job: Job) -> str:
    """A job for people."""
    return f"{job.row}, {SIDES[job.side]}, {job.repeat}"
