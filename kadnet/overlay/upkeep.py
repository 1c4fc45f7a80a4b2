"""What a node does unasked so that the overlay stays whole: refresh buckets, renew, re-replicate, sweep. A machine.

Four jobs, one clock. `advance(now)` says which are due; whoever drives it reports back what it found and when a job
has ended. Work that lies piled up is done a few pieces at a time, so upkeep never crowds out what a person waits for.
Pure: the database, the table and the walks belong to the driver.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class UpkeepSettings:
    """Seconds. `refresh_every`: a bucket that heard no answer for so long is walked to; jitter of half of it goes off.

    `scan_every`: how often records are looked through for what is due. `sweep_every`: how often lapsed ones are
    dropped (they are invisible at once; this is about the disk). `at_once`: walks of upkeep under way together.
    `max_queue`: pieces of work remembered from one scan.
    """

    refresh_every: float = 1800.0
    scan_every: float = 30.0
    sweep_every: float = 60.0
    at_once: int = 2
    max_queue: int = 256


@dataclass(frozen=True, slots=True)
class Scan:
    """Look for records that are due; answer with `found`."""

    limit: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Drop what has lapsed."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Walk to oneself, and to a chance place in each bucket that has been quiet for `age` seconds."""

    age: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Sign our own record again and store it."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Replicate:
    """Offer what we hold under `key` to the closest."""

    key: bytes


Task: TypeAlias = Renew | Replicate | Refresh
Action: TypeAlias = Scan | Sweep | Task


class Upkeep:
    """When what is due. Nothing is, until `start`."""

    def __init__(self, settings: UpkeepSettings, rng: random.Random, now: float) -> None:
        self._settings = settings
        self._rng = rng
        self._queue: deque[Task] = deque()
        self._queued: set[Task] = set()
        self._running = 0
        self._started = False
        self._next_scan = now
        self._next_sweep = now + settings.sweep_every
        self._next_refresh = now

    def start(self, now: float) -> None:
        """There are peers: renewing and replicating make sense from here on. Scans at once."""
        if not self._started:
            self._started = True
            self._next_refresh = now + self._until_refresh()
        self._next_scan = now

    def due_at(self, when: float) -> None:
        """Something falls due at `when`, perhaps before the next scan, as a short lease does: look then."""
        self._next_scan = min(self._next_scan, when)

    def found(self, renew: list[bytes], replicate: list[bytes], now: float) -> None:
        """What a scan turned up; what is known already is not queued twice."""
        tasks: list[Task] = [Renew(key) for key in renew]
        tasks += [Replicate(key) for key in replicate]
        for task in tasks:
            if task not in self._queued and len(self._queue) < self._settings.max_queue:
                self._queued.add(task)
                self._queue.append(task)

    def ended(self, task: Task, now: float) -> None:
        """A task that was begun is over, well or badly."""
        self._running -= 1
        self._queued.discard(task)

    def advance(self, now: float) -> tuple[list[Action], float | None]:
        actions: list[Action] = []
        if now >= self._next_sweep:
            self._next_sweep = now + self._settings.sweep_every
            actions.append(Sweep())
        if self._started:
            if now >= self._next_refresh:
                self._next_refresh = now + self._until_refresh()
                self._queue.appendleft(Refresh(self._settings.refresh_every))
            if now >= self._next_scan:
                self._next_scan = now + self._settings.scan_every
                actions.append(Scan(self._settings.max_queue))
            while self._queue and self._running < self._settings.at_once:
                self._running += 1
                actions.append(self._queue.popleft())
            return actions, min(self._next_sweep, self._next_refresh, self._next_scan)
        return actions, self._next_sweep

    def _until_refresh(self) -> float:
        # geth's doRefresh: uniform in [half, whole), so that nodes started together do not walk together.
        return self._settings.refresh_every * self._rng.uniform(0.5, 1.0)
