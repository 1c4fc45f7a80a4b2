"""What this node has published itself: kept until it lapses, renewed at half its lease, stored later if need be.

A put is on our own disk before the overlay hears of it, so its seq is never used twice and a put that reached nobody
is not lost. When to renew runs on the monotonic clock, as all lives do (see `schema`); `expires` alone is wall time.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from kadnet.bounded import Bounded
from kadnet.errors import Conflict, Malformed, StorageFailed
from kadnet.identity.keys import Identity
from kadnet.storage import Database
from kadnet.wire.keys import Key, blob_key
from kadnet.wire.kinds import BLOB, DAY, KINDS
from kadnet.wire.records import MAX_SEQ, Entry, Parsed, Record, blob, parse, sign_entry

NEVER = 1e300
"""Seconds until something that does not come."""

FORGET_AFTER = 14 * DAY
"""Seconds after its end for which a deletion of ours is remembered: floors of holders last half of that."""


class Publication(NamedTuple):
    """One record of our own. `replicas`: other nodes that acknowledged it last time. `lease` in seconds."""

    parsed: Parsed
    lease: int
    replicas: int
    expires_wall: float

    def remaining(self, wall: float) -> int:
        """Seconds of life to send along."""
        return max(0, min(self.lease, math.ceil(self.expires_wall - wall)))


_COLUMNS = "kind, payload, signature, lease, replicas, expires_wall"


class Published:
    """The table `published` of records.db."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        network: bytes,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        max_records: int,
        read_cache: int,
    ) -> None:
        """`read_cache`: keys of which it is kept at hand whether we have published under them."""
        self._database = database
        self._identity = identity
        self._network = network
        self._now = now
        self._wall = wall
        self.max_records = max_records
        self._read: Bounded[bytes, Publication | None] = Bounded(read_cache)

    def get(self, key: bytes) -> Publication | None:
        """Our own live record under `key`."""
        if key in self._read:
            publication = self._read[key]
        else:
            rows = self._database.stored(f"SELECT {_COLUMNS} FROM published WHERE key = ?", (key,))
            publication = None
            with suppress(Malformed):  # a row that the disk has changed is none
                publication = _publication(rows[0]) if rows else None
            self._read[key] = publication
        if publication is None or publication.expires_wall <= self._wall():
            return None
        return publication

    def count(self) -> int:
        """How many records of our own are kept up."""
        rows: list[tuple[int]] = self._database.stored("SELECT count(*) FROM published WHERE expires_wall > 0")
        return rows[0][0] if rows else 0

    async def put_blob(self, data: bytes, lease: int) -> Publication:
        """Keep a blob of our own for `lease` seconds, again if we had it."""
        record, now = blob(data), self._now()
        key = blob_key(data)
        return await self._saved(key, lambda connection: self._save(connection, record, b"", 0, data, lease, now))

    async def put_entry(
        self, key: Key, value: bytes | None, lease: int, met: int | None, if_seq: int | None, after: int | None = None
    ) -> Publication:
        """Sign the next entry under `key` and keep it.

        `met`: the highest seq of ours that the overlay showed, None for none. Raises Conflict when `if_seq` is given
        and is not the highest of that and of what we kept (0 stands for "there is none"), and when `after` is given and
        another one of ours has been put since that seq.
        """

        now = self._now()

        def write(connection: sqlite3.Connection) -> Publication:
            row = connection.execute("SELECT seq FROM published WHERE key = ?", (key.hash,)).fetchone()
            if after is not None and (row is None or row[0] != after):
                raise _Refused(Conflict(f"{key} has been put again since seq {after}", seq=row[0] if row else None))
            known = [seq for seq in (met, row[0] if row else None) if seq is not None]
            highest = max(known, default=None)
            if if_seq is not None and if_seq != (highest or 0):
                found = "no entry" if highest is None else f"seq {highest}"
                raise _Refused(Conflict(f"{key} is at {found}, not at seq {if_seq}", seq=highest))
            if highest == MAX_SEQ:
                raise _Refused(Conflict(f"{key} is at the last seq there is and can be written no more", seq=highest))
            seq = 1 if highest is None else highest + 1
            record = self._sign(key.kind, key.name_hash, seq, value, lease)
            return self._save(connection, record, key.name_hash, seq, value, lease, now)

        return await self._saved(key.hash, write)

    async def renew(self, key: bytes) -> Publication | None:
        """Sign our entry under `key` again: same seq, later `expires`. None when it is gone."""

        now = self._now()

        def write(connection: sqlite3.Connection) -> Publication:
            row = connection.execute(
                "SELECT kind, name_hash, seq, value, lease FROM published WHERE key = ? AND expires_wall > 0", (key,)
            ).fetchone()
            if row is None:
                raise _Refused(_Gone())
            kind, name_hash, seq, value, lease = row
            if kind == BLOB and blob_key(value) != key:  # the disk has changed it
                connection.execute("DELETE FROM published WHERE key = ?", (key,))
                raise _Refused(_Gone())
            record = blob(value) if kind == BLOB else self._sign(kind, name_hash, seq, value, lease)
            return self._save(connection, record, name_hash, seq, value, lease, now)

        try:
            return await self._saved(key, write)
        except _Gone:
            return None

    async def stored(self, key: bytes, seq: int, replicas: int, again_after: float) -> None:
        """Note how many acknowledged, and when to store or renew it again (seconds from now)."""
        times = (again_after, self._wall(), self._now() + again_after)
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE published SET replicas = ?, remaining = ?, noted = ?, renews = ? WHERE key = ? AND seq = ?",
                (replicas, *times, key, seq),
            ),
            after=lambda: self._read.pop(key, None),
        )

    async def superseded(self, key: bytes, seq: int) -> None:
        """A newer entry of ours, signed elsewhere with our key, is out there: this one is not kept up any more.

        Its seq is remembered: the next put stands above it, come what may. So many are remembered as may be published.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE published SET expires_wall = 0, remaining = ?1, renews = ?1 WHERE key = ?2 AND seq = ?3",
                (NEVER, key, seq),
            )
            connection.execute(
                "DELETE FROM published WHERE expires_wall = 0 AND key NOT IN"
                " (SELECT key FROM published WHERE expires_wall = 0 ORDER BY noted DESC LIMIT ?)",
                (self.max_records,),
            )

        await self._database.write(write, after=lambda: self._read.pop(key, None))

    async def sweep(self) -> None:
        """Forget deletions that are so long past that no holder can remember what they took back."""
        if self._database.untouched:
            return
        long_ago = self._wall() - FORGET_AFTER
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM published WHERE expires_wall > 0 AND expires_wall < ? AND value IS NULL", (long_ago,)
            )
        )

    def due(self, limit: int) -> list[bytes]:
        """Keys to renew or to store at last, the longest waiting first.

        A tombstone that was stored once is left to lapse: by then nothing that it takes back can be alive.
        """
        rows = self._database.stored(
            "SELECT key FROM published WHERE renews <= ? AND (value IS NOT NULL OR replicas = 0)"
            " ORDER BY renews LIMIT ?",
            (self._now(), limit),
        )
        return [row[0] for row in rows]

    def next_due(self) -> float | None:
        """Seconds until the next of our records falls due, those that are due already left out; None for none."""
        now = self._now()
        rows = self._database.stored("SELECT min(renews) FROM published WHERE renews > ?", (now,))
        return rows[0][0] - now if rows and rows[0][0] is not None else None

    def _sign(self, kind: int, name_hash: bytes, seq: int, value: bytes | None, lease: int) -> Record:
        expires = int(self._wall()) + lease
        entry = Entry(self._identity.public, name_hash, seq, expires, lease, value)
        return sign_entry(self._identity, kind, entry, self._network)

    def _save(
        self,
        connection: sqlite3.Connection,
        record: Record,
        name_hash: bytes,
        seq: int,
        value: bytes | None,
        lease: int,
        now: float,
    ) -> Publication:
        parsed = parse(record)
        wall = self._wall()
        (count,) = connection.execute(
            "SELECT count(*) FROM published WHERE key != ? AND expires_wall > 0", (parsed.key,)
        ).fetchone()
        if count >= self.max_records:
            raise _Refused(StorageFailed(f"this node has published {count} records and can keep no more"))
        expires = wall + lease
        connection.execute(
            "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, ?, ?)",
            (
                parsed.key,
                record.kind,
                name_hash,
                seq,
                value,
                lease,
                record.payload,
                record.signature,
                expires,
                wall,
                now,
            ),
        )
        return Publication(parsed, lease, 0, expires)

    async def _saved(self, key: bytes, write: Callable[[sqlite3.Connection], Publication]) -> Publication:
        """Run a write that may refuse; a refusal must not roll back the others of its batch."""

        def guarded(connection: sqlite3.Connection) -> Publication | Exception:
            try:
                return write(connection)
            except _Refused as refused:
                return refused.error

        result = await self._database.write(guarded, after=lambda: self._read.pop(key, None))
        if isinstance(result, Exception):
            raise result
        return result


class _Gone(Exception):
    """There is nothing to renew."""


class _Refused(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _publication(row: tuple[int, bytes, bytes, int, int, float]) -> Publication:
    kind, payload, signature, lease, replicas, expires = row
    return Publication(parse(Record(kind, payload, signature)), lease, replicas, expires)


def longest_lease(kind: int) -> int:
    """Seconds: the default life of what is put, which is also the most its holders grant."""
    return KINDS[kind].max_lease
