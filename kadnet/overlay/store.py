"""The records this node holds for the overlay, in SQLite.

Reads are inline. A write is decided by `shelf.decide` inside the transaction that carries it out, and is answered
after the commit. What the tables are is in `schema`, what is remembered of the gone in `floors`.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from kadnet.bounded import Bounded
from kadnet.errors import Malformed, StorageFailed
from kadnet.overlay import floors, schema
from kadnet.overlay.floors import FloorSettings
from kadnet.overlay.schema import Moment
from kadnet.overlay.shelf import Act, Floor, Newcomer, Rank, ShelfSettings, Standing, Verdict, decide
from kadnet.storage import Database
from kadnet.wire.kinds import HOUR, KINDS
from kadnet.wire.messages import Status
from kadnet.wire.records import Parsed, Record, parse


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`max_bytes`: of payloads and signatures held for others. `prefix_share`: what one storing prefix may use of it.

    `replicate_every`: seconds between re-replications of a record that nobody else has stored meanwhile.
    `record_overhead`: bytes that a record costs beside its own, so that many small ones cannot outgrow the budget.
    `sweep_chunk`: rows a sweep handles in one transaction. `read_cache`: keys whose records, or whose absence, are kept
    at hand: a query costs 13 µs, five of them stood for a fifth of a get. `read_cache_bytes`: the most that one of
    them may have to be kept, which bounds it all to 8 MiB.
    """

    max_bytes: int = 256 * 2**20
    prefix_share: float = 0.05
    replicate_every: float = HOUR
    record_overhead: int = 256
    sweep_chunk: int = 512
    read_cache: int = 2048
    read_cache_bytes: int = 4096
    floors: FloorSettings = field(default_factory=FloorSettings)
    shelf: ShelfSettings = field(default_factory=ShelfSettings)


class Held(NamedTuple):
    """A live record of ours, as its row has it. `lapses` on our clock; `cached` 1 for a copy left on the way."""

    kind: int
    publisher: bytes
    seq: int
    payload: bytes
    signature: bytes
    lapses: float
    cached: int

    @property
    def record(self) -> Record:
        return Record(self.kind, self.payload, self.signature)


@dataclass(slots=True)
class StoreCounters:
    stored: int = 0
    refused: int = 0
    lapsed: int = 0
    evicted: int = 0
    failed: int = 0
    unreadable: int = 0
    damaged: int = 0


Done = Callable[[Status, int], object]


class RecordStore:
    """What we hold, and the floors under it."""

    def __init__(
        self,
        database: Database,
        settings: StoreSettings,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        self._wall = wall
        self._rng = rng
        self._read: Bounded[bytes, list[Held]] = Bounded(settings.read_cache)
        self._outdated: list[bytes] = []  # other keys that a write has changed; filled in the writer's thread
        self.counters = StoreCounters()

    async def open(self) -> None:
        """Work out what is left of each life after the time the node was down."""
        if self._database.untouched:
            return
        now, wall = self._now(), self._wall()
        due = now + self._settings.replicate_every * self._rng.uniform(0.1, 1.0)

        def start(connection: sqlite3.Connection) -> None:
            schema.rebase(connection, now, wall)
            connection.execute("UPDATE records SET replicate = ?", (due,))

        await self._database.write(start)

    def get(self, key: bytes) -> list[Held]:
        """The live records under `key`, ordered by publisher. Empty when the disk does not answer, which is counted."""
        held = self._read.get(key)
        if held is None:
            try:
                rows = self._database.stored(
                    "SELECT kind, publisher, seq, payload, signature, lapses, cached FROM records WHERE key = ?", (key,)
                )
            except StorageFailed:
                self.counters.unreadable += 1
                return []
            held = [Held._make(row) for row in rows]
            if sum(len(record.payload) for record in held) <= self._settings.read_cache_bytes:
                self._read[key] = held
        if not held:
            return held
        now = self._now()
        return [record for record in held if record.lapses > now]

    def count(self) -> int:
        """How many records are held."""
        rows: list[tuple[int]] = self._database.stored("SELECT count(*) FROM records")
        return rows[0][0] if rows else 0

    def put(
        self,
        parsed: Parsed,
        remaining: float,
        prefix: bytes,
        cached: bool,
        done: Done,
        *,
        by_publisher: bool = False,
    ) -> bool:
        """Ask for a place for a checked record; `done(status, seq)` comes after the commit. False: the queue is full.

        `remaining` seconds, already bounded by lease and expires. `prefix`: the subnet it comes from, empty where
        quotas are waived. `by_publisher`: the peer that stores it is the one who signed it.
        """
        at = self._moment()

        def store(connection: sqlite3.Connection) -> Verdict:
            return self._store(connection, at, parsed, remaining, prefix, cached, by_publisher)

        def finished(verdict: Verdict | StorageFailed) -> None:
            self._read.pop(parsed.key, None)
            while self._outdated:
                self._read.pop(self._outdated.pop(), None)
            if isinstance(verdict, StorageFailed):
                self.counters.failed += 1
                done(Status.FAILED, 0)
                return
            if verdict.act is Act.REFUSE:
                self.counters.refused += 1
            else:
                self.counters.stored += 1
                self.counters.evicted += verdict.evict is not None
            done(verdict.status, verdict.seq)

        return self._database.submit(store, finished)

    async def drop_damaged(self, key: bytes, publisher: bytes) -> None:
        """Take away a record that is not any more what was stored: the disk has changed it."""
        self.counters.damaged += 1
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM records WHERE key = ? AND publisher = ?", (key, publisher)
            ),
            after=lambda: self._read.pop(key, None),
        )

    async def sweep(self) -> int:
        """Drop what has lapsed, leaving floors, and floors that have done their time. Returns the rows that went."""
        total = 0
        while not self._database.untouched:
            gone = await self._database.write(partial(self._sweep_chunk, self._moment()))
            self._read.clear()
            total += gone
            if gone < self._settings.sweep_chunk:
                break
        self.counters.lapsed += total
        return total

    def due_for_replication(self, limit: int) -> list[bytes]:
        """Keys held in earnest whose hour has come, the longest waiting first."""
        rows = self._database.stored(
            "SELECT DISTINCT key FROM records WHERE replicate <= ?1 AND cached = 0 AND lapses > ?1"
            " ORDER BY replicate LIMIT ?2",
            (self._now(), limit),
        )
        return [row[0] for row in rows]

    async def replicated(self, key: bytes) -> None:
        """The records under `key` have been offered to the closest: their hour begins again."""
        due = self._moment().replicate
        await self._database.write(
            lambda connection: connection.execute("UPDATE records SET replicate = ? WHERE key = ?", (due, key))
        )

    def _moment(self) -> Moment:
        now = self._now()
        # Jitter: one holder comes first, and what it stores postpones the others by an hour (paper, section 2.5).
        return Moment(now, self._wall(), now + self._settings.replicate_every * self._rng.uniform(0.8, 1.2))

    def _store(
        self,
        connection: sqlite3.Connection,
        at: Moment,
        parsed: Parsed,
        remaining: float,
        prefix: bytes,
        cached: bool,
        by_publisher: bool,
    ) -> Verdict:
        key, publisher = parsed.key, parsed.publisher
        rank = Rank(*parsed.rank)
        shelf = self._shelf(connection, at, key)
        floor = floors.find(connection, key, publisher, at.now)
        new = Newcomer(publisher, rank, prefix, cached, by_publisher)
        verdict = decide(shelf, floor, new, KINDS[parsed.record.kind].many, self._settings.shelf)
        if verdict.act is Act.REFUSE:
            return verdict
        if verdict.act in (Act.KEEP, Act.EXTEND, Act.UNCACHE):
            connection.execute(
                "UPDATE records SET replicate = ?, cached = cached AND ? WHERE key = ? AND publisher = ?",
                (at.replicate, cached, key, publisher),
            )
            if verdict.act is not Act.KEEP and self._left(connection, at, key, publisher) < remaining:
                self._set_life(connection, at, key, publisher, remaining)
            return verdict
        size = len(parsed.record.payload) + len(parsed.record.signature) + self._settings.record_overhead
        first = next((standing for standing in shelf if standing.publisher == publisher), None)
        if not self._has_room(connection, at, parsed, size, prefix if first is None else first.prefix):
            return Verdict(Act.REFUSE, Status.FULL)
        if verdict.evict is not None:
            self._take_away(connection, at, key, verdict.evict, lapsed=False)
        arrived = first.arrived if first is not None else self._next_arrival(connection)
        connection.execute("DELETE FROM records WHERE key = ? AND publisher = ?", (key, publisher))
        floors.remove(connection, key, publisher)
        connection.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                publisher,
                parsed.record.kind,
                parsed.seq,
                rank.tombstone,
                parsed.expires,
                parsed.record.payload,
                parsed.record.signature,
                remaining,
                at.wall,
                at.now + remaining,
                prefix if first is None else first.prefix,
                cached and (first is None or first.cached),  # a copy makes no copy of what we hold in earnest
                arrived,
                at.replicate,
                size,
            ),
        )
        return verdict

    def _shelf(self, connection: sqlite3.Connection, at: Moment, key: bytes) -> list[Standing]:
        """The live records under `key`; what has lapsed meanwhile goes to its floor first."""
        rows = connection.execute(
            "SELECT publisher, kind, payload, signature, prefix, cached, arrived, lapses FROM records WHERE key = ?",
            (key,),
        ).fetchall()
        shelf = []
        for publisher, kind, payload, signature, prefix, cached, arrived, lapses in rows:
            if lapses <= at.now:
                self._take_away(connection, at, key, publisher, lapsed=True)
                continue
            try:
                rank = Rank(*parse(Record(kind, payload, signature)).rank)
            except Malformed:  # the disk changed it: nobody can use it any more
                self.counters.damaged += 1
                connection.execute("DELETE FROM records WHERE key = ? AND publisher = ?", (key, publisher))
                continue
            shelf.append(Standing(publisher, rank, prefix, bool(cached), arrived))
        return shelf

    def _left(self, connection: sqlite3.Connection, at: Moment, key: bytes, publisher: bytes) -> float:
        row = connection.execute("SELECT lapses FROM records WHERE key = ? AND publisher = ?", (key, publisher))
        lapses: float = row.fetchone()[0]
        return lapses - at.now

    def _set_life(
        self, connection: sqlite3.Connection, at: Moment, key: bytes, publisher: bytes, remaining: float
    ) -> None:
        connection.execute(
            "UPDATE records SET remaining = ?, noted = ?, lapses = ? WHERE key = ? AND publisher = ?",
            (remaining, at.wall, at.now + remaining, key, publisher),
        )

    def _has_room(self, connection: sqlite3.Connection, at: Moment, parsed: Parsed, size: int, prefix: bytes) -> bool:
        """Whether a record of `size` fits, in place of the older one of the same publisher where there is one."""
        settings = self._settings
        place = (parsed.key, parsed.publisher)
        old = connection.execute("SELECT size FROM records WHERE key = ? AND publisher = ?", place).fetchone()
        if old is not None:
            size -= old[0]
            if size <= 0:
                return True
        if prefix:
            row = connection.execute(
                "SELECT amount FROM used WHERE what = 'bytes' AND prefix = ?", (prefix,)
            ).fetchone()
            if row is not None and row[0] + size > settings.max_bytes * settings.prefix_share:
                return False
        while floors.amount(connection, "bytes-all") + size > settings.max_bytes:
            # Copies left on the way are the first to go, the soonest to lapse first.
            row = connection.execute(
                "SELECT key, publisher FROM records WHERE cached = 1 AND NOT (key = ? AND publisher = ?)"
                " ORDER BY lapses LIMIT 1",
                place,
            ).fetchone()
            if row is None:
                return False
            self._take_away(connection, at, *row, lapsed=False)
            self._outdated.append(row[0])
        return True

    def _next_arrival(self, connection: sqlite3.Connection) -> int:
        connection.execute("UPDATE used SET amount = amount + 1 WHERE what = 'arrivals'")
        return floors.amount(connection, "arrivals")

    def _take_away(
        self, connection: sqlite3.Connection, at: Moment, key: bytes, publisher: bytes, *, lapsed: bool
    ) -> None:
        """Take a record away and leave its floor. A blob leaves none: its bytes cannot be older than themselves.

        The end of a cached copy says nothing about the life of the entry: its floor is that of an eviction.
        """
        row = connection.execute(
            "SELECT seq, tombstone, expires, prefix, cached FROM records WHERE key = ? AND publisher = ?",
            (key, publisher),
        ).fetchone()
        connection.execute("DELETE FROM records WHERE key = ? AND publisher = ?", (key, publisher))
        if row is not None and publisher:
            floor = Floor(row[0], bool(row[1]), row[2], lapsed and not row[4])
            floors.lay(connection, self._settings.floors, at, key, publisher, floor, row[3])

    def _sweep_chunk(self, at: Moment, connection: sqlite3.Connection) -> int:
        now, limit = at.now, self._settings.sweep_chunk
        rows = connection.execute(
            "SELECT key, publisher FROM records WHERE lapses <= ? ORDER BY lapses LIMIT ?", (now, limit)
        ).fetchall()
        for key, publisher in rows:
            self._take_away(connection, at, key, publisher, lapsed=True)
        return max(len(rows), floors.forget(connection, now, limit))
