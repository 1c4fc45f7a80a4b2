"""Contacts that answered, kept on disk: with them a node rejoins although no bootstrap address lives.

A cache: damaged, it is begun anew. What it says is hearsay until the contact answers again.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from kadnet.errors import Malformed
from kadnet.kademlia.contact import Contact
from kadnet.storage import Database

MIGRATIONS = (
    """
    CREATE TABLE peers (id BLOB PRIMARY KEY NOT NULL, packed BLOB NOT NULL, heard REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX peers_heard ON peers (heard);
    """,
)


@dataclass(frozen=True, slots=True)
class PeerCacheSettings:
    """`max_peers`: kept in all. `max_age`: seconds after which one is forgotten; geth takes seeds of up to 5 days.

    `seeds`: asked at a start (geth: 30). `settle`: seconds after a change before it is written, so that a burst of
    changes is one write. `look_round`: forgotten ones asked at every refresh, so that a healed network grows together.
    """

    max_peers: int = 512
    max_age: float = 5 * 86400.0
    seeds: int = 30
    settle: float = 1.0
    look_round: int = 8


class PeerCache:
    """The table `peers` of peers.db."""

    def __init__(self, database: Database, settings: PeerCacheSettings, wall: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._wall = wall

    def seeds(self) -> list[Contact]:
        """The contacts heard of last, newest first."""
        rows = self._database.stored("SELECT packed FROM peers ORDER BY heard DESC LIMIT ?", (self._settings.seeds,))
        return _contacts([packed for (packed,) in rows])

    def forgotten(self, live: Container[bytes], rng: random.Random, count: int) -> list[Contact]:
        """Up to `count` contacts by chance that answered once and are not among the `live` IDs now."""
        rows = self._database.stored("SELECT id, packed FROM peers ORDER BY id")
        gone = [packed for id, packed in rows if id not in live]
        return _contacts(rng.sample(gone, min(count, len(gone))))

    def save(self, live: Iterable[Contact]) -> None:
        """Note that these contacts live now. Does not wait; a failed write is tried again with the next change."""
        wall, settings = self._wall(), self._settings
        rows = [(contact.id, contact.packed, wall) for contact in live]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO peers VALUES (?, ?, ?)", rows)
            connection.execute("DELETE FROM peers WHERE heard < ?", (wall - settings.max_age,))
            connection.execute(
                "DELETE FROM peers WHERE id NOT IN (SELECT id FROM peers ORDER BY heard DESC LIMIT ?)",
                (settings.max_peers,),
            )

        self._database.submit(write, lambda _result: None)


def _contacts(packed: Iterable[bytes]) -> list[Contact]:
    contacts = []
    for piece in packed:
        try:
            contacts.append(Contact.from_packed(piece))
        except Malformed:
            continue
    return contacts
