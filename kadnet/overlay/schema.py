"""The schema of records.db, and the time of a write.

Times that have to survive a restart are kept threefold: the seconds that `remain`ed when the row was `noted` (wall
time), and the moment on this run's monotonic clock that follows from them, which is what queries compare. `rebase`
works the last one out anew at each start. So a clock that is set wrong while the node runs changes no life here.

Triggers keep the bytes and the floors per storing prefix in a table of their own, so quotas survive rollbacks and
restarts alike.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

MIGRATIONS = (
    """
    CREATE TABLE records (
        key BLOB NOT NULL, publisher BLOB NOT NULL, kind INTEGER NOT NULL,
        seq INTEGER NOT NULL, tombstone INTEGER NOT NULL, expires INTEGER NOT NULL,
        payload BLOB NOT NULL, signature BLOB NOT NULL,
        remaining REAL NOT NULL, noted REAL NOT NULL, lapses REAL NOT NULL,
        prefix BLOB NOT NULL, cached INTEGER NOT NULL, arrived INTEGER NOT NULL, replicate REAL NOT NULL,
        size INTEGER NOT NULL, PRIMARY KEY (key, publisher)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX records_lapses ON records (lapses);
    CREATE INDEX records_replicate ON records (replicate);
    CREATE TABLE floors (
        key BLOB NOT NULL, publisher BLOB NOT NULL, seq INTEGER NOT NULL, tombstone INTEGER NOT NULL,
        expires INTEGER NOT NULL, lapsed INTEGER NOT NULL, prefix BLOB NOT NULL,
        remaining REAL NOT NULL, noted REAL NOT NULL, until REAL NOT NULL, PRIMARY KEY (key, publisher)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX floors_until ON floors (until);
    CREATE INDEX floors_prefix ON floors (prefix, until);
    CREATE TABLE used (what TEXT NOT NULL, prefix BLOB NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (what, prefix))
        STRICT, WITHOUT ROWID;
    INSERT INTO used VALUES ('bytes-all', x'', 0), ('floors-all', x'', 0), ('arrivals', x'', 0);
    CREATE TRIGGER records_in AFTER INSERT ON records BEGIN
        UPDATE used SET amount = amount + new.size WHERE what = 'bytes-all';
        INSERT INTO used VALUES ('bytes', new.prefix, new.size)
            ON CONFLICT DO UPDATE SET amount = amount + new.size;
    END;
    CREATE TRIGGER records_out AFTER DELETE ON records BEGIN
        UPDATE used SET amount = amount - old.size WHERE what = 'bytes-all';
        UPDATE used SET amount = amount - old.size WHERE what = 'bytes' AND prefix = old.prefix;
        DELETE FROM used WHERE what = 'bytes' AND prefix = old.prefix AND amount <= 0;
    END;
    CREATE TRIGGER floors_in AFTER INSERT ON floors BEGIN
        UPDATE used SET amount = amount + 1 WHERE what = 'floors-all';
        INSERT INTO used VALUES ('floors', new.prefix, 1) ON CONFLICT DO UPDATE SET amount = amount + 1;
    END;
    CREATE TRIGGER floors_out AFTER DELETE ON floors BEGIN
        UPDATE used SET amount = amount - 1 WHERE what = 'floors-all';
        UPDATE used SET amount = amount - 1 WHERE what = 'floors' AND prefix = old.prefix;
        DELETE FROM used WHERE what = 'floors' AND prefix = old.prefix AND amount <= 0;
    END;
    CREATE TABLE published (
        key BLOB PRIMARY KEY NOT NULL, kind INTEGER NOT NULL, name_hash BLOB NOT NULL, seq INTEGER NOT NULL,
        value BLOB, lease INTEGER NOT NULL, payload BLOB NOT NULL, signature BLOB NOT NULL,
        replicas INTEGER NOT NULL, expires_wall REAL NOT NULL,
        remaining REAL NOT NULL, noted REAL NOT NULL, renews REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX published_renews ON published (renews);
    """,
)
"""The schema of records.db: what we hold, what we remember of what we held, and what we have published."""

CLOCKS = (("records", "lapses"), ("floors", "until"), ("published", "renews"))
"""The tables that count down, and the column of each that holds the moment on our clock."""


class Moment(NamedTuple):
    """The time of a write, taken where clocks may be read: the write itself runs in a thread.

    `replicate`: when what it stores is to be offered to others.
    """

    now: float
    wall: float
    replicate: float


def rebase(connection: sqlite3.Connection, now: float, wall: float) -> None:
    """Work out what is left of every life after the time the node was down: never more than was left then."""
    for table, clock in CLOCKS:
        connection.execute(
            f"UPDATE {table} SET remaining = remaining - max(0, ?1 - noted), noted = ?1,"
            f" {clock} = ?2 + remaining - max(0, ?1 - noted)",
            (wall, now),
        )
