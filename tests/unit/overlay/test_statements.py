"""How many prepared statements one record takes from its put to a get of it: as many as that are kept."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import random
import sqlite3
from typing import Any

import trio

from kadnet.lab import VirtualWall
from kadnet.overlay.published import Published
from kadnet.overlay.schema import MIGRATIONS
from kadnet.overlay.store import RecordStore, StoreSettings
from kadnet.storage import Database, StorageSettings
from kadnet.wire.keys import Key
from kadnet.wire.kinds import DAY
from kadnet.wire.messages import Status
from kadnet.wire.records import Parsed
from tests.unit.overlay.bench import inline, on_virtual_time
from tests.unit.overlay.builders import PUBLIC, identity


class _Counted(sqlite3.Connection):
    """Notes what it was asked."""

    said: set[str]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.said.add(sql)
        return super().execute(sql, parameters)


@on_virtual_time
async def test_a_node_that_puts_and_holds_what_it_puts_finds_each_statement_prepared() -> None:
    said: set[str] = set()

    def connect(place: str, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(place, factory=_Counted, **options)
        connection.said = said
        return connection

    database = Database(None, MIGRATIONS, offload=inline, connect=connect)
    now, wall = trio.current_time, VirtualWall()
    store = RecordStore(database, StoreSettings(), now=now, wall=wall, rng=random.Random(1))
    mine = Published(database, identity("me"), PUBLIC, now=now, wall=wall, max_records=9, read_cache=16)

    async def held(parsed: Parsed) -> int:
        """Hold what was put and note that it was stored; so many statements since the turn began."""
        done = trio.Event()
        answers: list[Status] = []

        def answered(status: Status, _seq: int) -> None:
            answers.append(status)
            done.set()

        assert store.put(parsed, DAY, b"\x0a\x00\x01", False, answered)
        await done.wait()
        assert answers == [Status.OK]
        assert store.get(parsed.key)
        await mine.stored(parsed.key, parsed.seq, 16, 3600.0)
        assert mine.get(parsed.key) is not None
        assert mine.next_due() is not None
        return len(said)

    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        await mine.put_blob(b"the first", DAY)  # makes the tables, which is no part of a turn
        turns = []
        for number in range(2):
            said.clear()
            turns.append(await held((await mine.put_blob(bytes([number]), DAY)).parsed))
            said.clear()
            turns.append(await held((await mine.put_entry(Key.shared("x"), bytes([number]), DAY, None, None)).parsed))
        nursery.cancel_scope.cancel()
    database.close()
    assert 18 <= max(turns) <= StorageSettings().statements, turns
