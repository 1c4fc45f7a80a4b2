"""How many connections a database has: each costs memory, so there is none before it is needed."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from kadnet.errors import StorageFailed
from kadnet.storage import Database, StorageSettings
from tests.unit.test_storage import MIGRATIONS, Disk, insert, rows


class Connections:
    """Opens databases as `sqlite3.connect` does, notes with what options, and may be told to fail."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def connect(self, place: Any, **options: Any) -> sqlite3.Connection:
        if self.error is not None:
            raise self.error
        self.opened.append(options)
        connection: sqlite3.Connection = sqlite3.connect(place, **options)
        return connection


async def test_a_database_in_memory_is_made_for_its_first_write(nursery: trio.Nursery) -> None:
    connections = Connections()
    database = Database(None, MIGRATIONS, offload=Disk(), connect=connections.connect)
    await nursery.start(database.run)
    assert database.untouched
    assert database.stored("SELECT n FROM rows") == []
    assert database.stored("SELECT count(*) FROM rows") == []
    assert connections.opened == []
    await database.write(insert(1))
    assert not database.untouched
    assert database.stored("SELECT count(*) FROM rows") == [(1,)]
    assert len(connections.opened) == 1
    nursery.cancel_scope.cancel()
    database.close()


def test_a_database_in_memory_is_made_for_a_read_that_wants_an_answer() -> None:
    database = Database(None, MIGRATIONS, offload=Disk())
    assert database.read("SELECT count(*) FROM rows") == [(0,)]
    assert not database.untouched
    database.close()


def test_a_database_in_memory_that_was_closed_is_not_made_any_more() -> None:
    connections = Connections()
    database = Database(None, MIGRATIONS, offload=Disk(), connect=connections.connect)
    database.close()
    for query in (database.read, database.stored):
        with pytest.raises(StorageFailed, match="the database in memory cannot be read: it is closed"):
            query("SELECT n FROM rows")
    assert connections.opened == []


async def test_a_database_in_memory_that_cannot_be_made_fails_what_is_asked_and_is_made_later(
    nursery: trio.Nursery,
) -> None:
    connections = Connections()
    connections.error = sqlite3.OperationalError("out of memory")
    database = Database(None, MIGRATIONS, offload=Disk(), connect=connections.connect)
    await nursery.start(database.run)
    with pytest.raises(StorageFailed, match="cannot be written: out of memory"):
        await database.write(insert(1))
    with pytest.raises(StorageFailed, match="cannot be read: out of memory"):
        database.read("SELECT n FROM rows")
    connections.error = None
    assert await database.write(insert(1)) == 1
    nursery.cancel_scope.cancel()
    database.close()


@asynccontextmanager
async def under_way(path: Path, connections: Connections) -> AsyncIterator[Database]:
    """A file in which 1 is written, and a transaction that writes 2 waits for the disk until the end of the block."""
    disk = Disk()
    database = Database(path, MIGRATIONS, offload=disk, connect=connections.connect)
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        await database.write(insert(1))
        assert rows(database) == [1]
        disk.open = trio.Event()
        try:
            database.submit(insert(2), lambda _result: None)
            await trio.testing.wait_all_tasks_blocked()
            yield database
        finally:
            disk.open.set()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_a_file_has_one_connection_until_a_read_meets_a_transaction_under_way(tmp_path: Path) -> None:
    connections = Connections()
    async with under_way(tmp_path / "rows.db", connections) as database:
        assert len(connections.opened) == 1
        assert rows(database) == rows(database) == [1]
        assert len(connections.opened) == 2
    assert rows(database) == [1, 2]
    assert len(connections.opened) == 2
    database.close()


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), sqlite3.OperationalError("Too many open files")]
)
async def test_a_second_connection_that_fails_fails_that_read_alone(tmp_path: Path, error: Exception) -> None:
    connections = Connections()
    async with under_way(tmp_path / "rows.db", connections) as database:
        connections.error = error
        with pytest.raises(StorageFailed, match=r"rows\.db cannot be read: .*Too many open files"):
            rows(database)
    assert rows(database) == [1, 2]
    database.close()


@pytest.mark.parametrize("by_then", ["moved", "another", "gone"])
async def test_a_second_connection_is_never_one_to_another_file(tmp_path: Path, by_then: str) -> None:
    """The directory was moved while the database was open, and perhaps another node now lives in its place."""
    home, path = tmp_path / "home", tmp_path / "home" / "rows.db"
    home.mkdir()
    other = None
    async with under_way(path, Connections()) as database:
        if by_then == "gone":
            path.unlink()
        else:
            home.rename(tmp_path / "elsewhere")
        if by_then == "another":
            home.mkdir()
            other = Database(path, MIGRATIONS, offload=Disk())
        with pytest.raises(StorageFailed, match=r"rows\.db cannot be read: (another file|No such file)"):
            rows(database)
        assert path.exists() == (by_then == "another")
    assert rows(database) == [1, 2]
    for opened in (database, other):
        if opened is not None:
            opened.close()


@pytest.mark.parametrize("place", ["rows.db", None])
def test_a_connection_keeps_as_many_statements_as_the_settings_say(place: str | None, tmp_path: Path) -> None:
    connections = Connections()
    path = None if place is None else tmp_path / place
    settings = StorageSettings(statements=5)
    database = Database(path, MIGRATIONS, offload=Disk(), connect=connections.connect, settings=settings)
    assert rows(database) == []
    assert [options["cached_statements"] for options in connections.opened] == [5]
    database.close()
