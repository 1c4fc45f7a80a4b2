"""Floors in the database: what is remembered of entries that are gone, and how much of it.

What a floor refuses is decided in `shelf`; here it is laid, found and forgotten, inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from kadnet.overlay.schema import Moment
from kadnet.overlay.shelf import Floor
from kadnet.wire.kinds import DAY, HOUR


@dataclass(frozen=True, slots=True)
class FloorSettings:
    """`max_floors` in all, and the share of them that one storing prefix may fill. `life`: seconds; 7 days, the longest
    life of an entry, and an hour for clocks."""

    max_floors: int = 100_000
    prefix_share: float = 0.05
    life: float = 7 * DAY + HOUR


def find(connection: sqlite3.Connection, key: bytes, publisher: bytes, now: float) -> Floor | None:
    """The floor under an entry that is not here, if there is one."""
    row = connection.execute(
        "SELECT seq, tombstone, expires, lapsed FROM floors WHERE key = ? AND publisher = ? AND until > ?",
        (key, publisher, now),
    ).fetchone()
    return None if row is None else Floor(row[0], bool(row[1]), row[2], bool(row[3]))


def lay(
    connection: sqlite3.Connection,
    settings: FloorSettings,
    at: Moment,
    key: bytes,
    publisher: bytes,
    floor: Floor,
    prefix: bytes,
) -> None:
    """Remember an entry that has just gone. Past a bound the oldest floor gives way, of this prefix or of all."""
    remove(connection, key, publisher)
    mine = connection.execute("SELECT amount FROM used WHERE what = 'floors' AND prefix = ?", (prefix,)).fetchone()
    if prefix and mine is not None and mine[0] >= settings.max_floors * settings.prefix_share:
        connection.execute(
            "DELETE FROM floors WHERE (key, publisher) IN"
            " (SELECT key, publisher FROM floors WHERE prefix = ? ORDER BY until LIMIT 1)",
            (prefix,),
        )
    elif amount(connection, "floors-all") >= settings.max_floors:
        connection.execute(
            "DELETE FROM floors WHERE (key, publisher) IN (SELECT key, publisher FROM floors ORDER BY until LIMIT 1)"
        )
    life = settings.life
    connection.execute(
        "INSERT INTO floors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, publisher, floor.seq, floor.tombstone, floor.expires, floor.lapsed, prefix, life, at.wall, at.now + life),
    )


def remove(connection: sqlite3.Connection, key: bytes, publisher: bytes) -> None:
    """The entry stands here again."""
    connection.execute("DELETE FROM floors WHERE key = ? AND publisher = ?", (key, publisher))


def forget(connection: sqlite3.Connection, now: float, limit: int) -> int:
    """Drop at most `limit` floors that have done their time; how many went."""
    cursor = connection.execute(
        "DELETE FROM floors WHERE (key, publisher) IN"
        " (SELECT key, publisher FROM floors WHERE until <= ? ORDER BY until LIMIT ?)",
        (now, limit),
    )
    return cursor.rowcount


def amount(connection: sqlite3.Connection, what: str) -> int:
    """One of the totals that the triggers keep: "bytes-all", "floors-all" or "arrivals"."""
    total: int = connection.execute("SELECT amount FROM used WHERE what = ? AND prefix = x''", (what,)).fetchone()[0]
    return total
