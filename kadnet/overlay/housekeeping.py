"""Housekeeping: the upkeep machine driven by the pump, its tasks done by the neighbouring parts.

`upkeep` says what is due; here it is looked up, carried out in the overlay's nursery, and reported back. Nothing that
goes wrong with a piece of upkeep ends a node: it is counted, and comes round again.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from kadnet.errors import KadnetError, ProtocolError, StorageFailed
from kadnet.overlay.archive import Archive
from kadnet.overlay.published import Published
from kadnet.overlay.store import RecordStore
from kadnet.overlay.upkeep import Action, Refresh, Renew, Replicate, Scan, Sweep, Task, Upkeep, UpkeepSettings
from kadnet.pump import Handle, Pump


@dataclass(slots=True)
class HousekeepingCounters:
    """`renewed`, `replicated`: records; `refreshed`: rounds of walks through the buckets; `failed`: of all of these,
    renewals that nobody took among them."""

    renewed: int = 0
    replicated: int = 0
    refreshed: int = 0
    failed: int = 0


class Housekeeping:
    """Keeps records and tables up. `begin` before use, `end` after."""

    def __init__(
        self,
        settings: UpkeepSettings,
        pump: Pump,
        *,
        rng: random.Random,
        archive: Archive,
        published: Published,
        store: RecordStore,
        refresh: Callable[[float], Awaitable[object]],
        serves: bool,
    ) -> None:
        """`refresh(age)`: look for the forgotten, then walk into the buckets that have been quiet for `age` seconds."""
        self.counters = HousekeepingCounters()
        self._pump = pump
        self._archive = archive
        self._published = published
        self._store = store
        self._refresh = refresh
        self._serves = serves
        self._machine = Upkeep(settings, rng, pump.now())
        self._handle: Handle[Action] = pump.add(self._machine, self._do)
        self._nursery: trio.Nursery | None = None

    def begin(self, nursery: trio.Nursery) -> None:
        """Sweep from now on; tasks run in `nursery`."""
        self._nursery = nursery
        self._handle.kick()

    def joined(self) -> None:
        """There are peers: renew, replicate and refresh from now on, beginning with what has waited for them."""
        self._machine.start(self._pump.now())
        self._handle.kick()

    def end(self) -> None:
        """Begin nothing more."""
        self._nursery = None
        self._handle.stop()

    def look_in_time(self) -> None:
        """Let the next scan come no later than the next of our records is due: a lease may be shorter than its pace."""
        try:
            wait = self._published.next_due()
        except StorageFailed:
            self.counters.failed += 1
            return
        if wait is not None:
            self._machine.due_at(self._pump.now() + max(wait, 0.01))
            self._handle.kick()

    def _do(self, action: Action) -> None:
        if self._nursery is None:
            return
        if isinstance(action, Scan):
            self._scan(action)
        else:
            self._nursery.start_soon(self._task, action)

    def _scan(self, scan: Scan) -> None:
        try:
            renew = self._published.due(scan.limit)
            replicate = self._store.due_for_replication(scan.limit) if self._serves else []
        except StorageFailed:
            self.counters.failed += 1
            return
        self._machine.found(renew, replicate, self._pump.now())
        self.look_in_time()
        self._handle.kick()

    async def _task(self, action: Sweep | Task) -> None:
        try:
            if isinstance(action, Sweep):
                await self._store.sweep()
                await self._published.sweep()
            elif isinstance(action, Refresh):
                await self._refresh(action.age)
                self.counters.refreshed += 1
            elif isinstance(action, Renew):
                if await self._archive.renew(action.key):
                    self.counters.renewed += 1
                else:
                    self.counters.failed += 1
                self.look_in_time()
            elif isinstance(action, Replicate):
                await self._archive.replicate(action.key)
                self.counters.replicated += 1
        except (KadnetError, ProtocolError):  # the latter from a row that the disk has changed
            self.counters.failed += 1
        finally:
            if not isinstance(action, Sweep):
                self._machine.ended(action, self._pump.now())
                self._handle.kick()
