"""Disks that fill up or break, under databases in files and in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from kadnet.errors import DataDirError, StorageFailed
from kadnet.lab import VirtualDisk
from kadnet.lab.run import offload_inline
from kadnet.storage import Database

MIGRATIONS = ["CREATE TABLE rows (n INTEGER)"]


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "rows.db"


@asynccontextmanager
async def opened(disk: VirtualDisk, place: Path | None, *, precious: bool = False) -> AsyncIterator[Database]:
    database = Database(place, MIGRATIONS, offload=offload_inline, connect=disk.connect, precious=precious)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(database.run)
            yield database
            nursery.cancel_scope.cancel()
    finally:
        database.close()


def insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO rows VALUES (1)")


def rows(database: Database) -> int:
    return len(database.read("SELECT n FROM rows"))


async def test_a_full_disk_takes_nothing_and_can_be_read(place: Path | None) -> None:
    disk = VirtualDisk()
    async with opened(disk, place) as database:
        await database.write(insert)
        disk.fill()
        for _ in range(2):
            with pytest.raises(StorageFailed, match=r"cannot be written: database or disk is full$"):
                await database.write(insert)
        with pytest.raises(StorageFailed, match="full"):
            await database.write(lambda connection: connection.executemany("INSERT INTO rows VALUES (?)", [(2,)]))
        with pytest.raises(StorageFailed, match="full"):
            await database.write(lambda connection: connection.execute("DELETE FROM rows"))
        assert rows(database) == 1
        disk.mend()
        await database.write(insert)
        assert rows(database) == 2


async def test_a_transaction_that_writes_nothing_passes_on_a_full_disk(place: Path | None) -> None:
    disk = VirtualDisk()
    async with opened(disk, place) as database:
        await database.write(insert)
        disk.fill()
        assert await database.write(lambda connection: connection.execute("SELECT n FROM rows").fetchall()) == [(1,)]


async def test_a_broken_disk_neither_takes_nor_gives(place: Path | None) -> None:
    disk = VirtualDisk()
    async with opened(disk, place) as database:
        await database.write(insert)
        disk.fail()
        with pytest.raises(StorageFailed, match=r"cannot be written: disk I/O error$"):
            await database.write(insert)
        with pytest.raises(StorageFailed, match=r"cannot be read: disk I/O error$"):
            rows(database)
        disk.mend()
        assert rows(database) == 1


async def test_a_disk_that_breaks_in_the_middle_of_a_transaction_undoes_it(place: Path | None) -> None:
    disk = VirtualDisk()

    def half(connection: sqlite3.Connection) -> None:
        insert(connection)
        disk.fail()
        insert(connection)

    async with opened(disk, place) as database:
        with pytest.raises(StorageFailed, match="I/O"):
            await database.write(half)
        disk.mend()
        assert rows(database) == 0


async def test_the_errors_carry_sqlites_own_codes(tmp_path: Path) -> None:
    disk = VirtualDisk()
    connection = disk.connect(tmp_path / "x.db", isolation_level=None)
    disk.fail()
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("SELECT 1")
    assert (caught.value.sqlite_errorcode, caught.value.sqlite_errorname) == (10, "SQLITE_IOERR")
    with pytest.raises(sqlite3.OperationalError):
        connection.executemany("SELECT ?", [(1,)])
    disk.fill()
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.executescript("CREATE TABLE t (n)")
    assert (caught.value.sqlite_errorcode, caught.value.sqlite_errorname) == (13, "SQLITE_FULL")
    connection.close()


@pytest.mark.parametrize(
    ("fault", "precious", "said"),
    [
        (VirtualDisk.fill, False, "disk is full"),
        (VirtualDisk.fail, False, "disk I/O error"),
        (VirtualDisk.fail, True, "disk I/O error"),
    ],
)
async def test_a_database_is_not_opened_on_a_disk_that_does_not_serve(
    tmp_path: Path, fault: object, precious: bool, said: str
) -> None:
    disk = VirtualDisk()
    assert callable(fault)
    fault(disk)
    with pytest.raises(DataDirError, match=said):
        async with opened(disk, tmp_path / "rows.db", precious=precious):
            pass
    disk.mend()
    async with opened(disk, tmp_path / "rows.db", precious=precious) as database:
        assert rows(database) == 0


async def test_a_precious_file_on_a_broken_disk_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    disk = VirtualDisk()
    async with opened(disk, tmp_path / "rows.db", precious=True) as database:
        await database.write(insert)
    disk.fail()
    with pytest.raises(DataDirError, match="cannot be opened: disk I/O error"):
        async with opened(disk, tmp_path / "rows.db", precious=True):
            pass
    disk.mend()
    async with opened(disk, tmp_path / "rows.db", precious=True) as database:
        assert rows(database) == 1
