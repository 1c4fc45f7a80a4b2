"""Disks that fill up or break, under databases in files and in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
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


INSERT = "INSERT INTO rows VALUES (2)"
Deed = Callable[[sqlite3.Connection], object]


def committed_by(commit: Deed, write: str = INSERT) -> Deed:
    def deed(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        connection.execute(write)
        commit(connection)

    return deed


def in_a_with_block(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN")
        connection.execute(INSERT)


WRITES: dict[str, Deed] = {
    "commit()": committed_by(lambda connection: connection.commit()),
    "with": in_a_with_block,
    "commit": committed_by(lambda connection: connection.execute("commit")),
    "COMMIT;": committed_by(lambda connection: connection.execute("COMMIT;")),
    "END": committed_by(lambda connection: connection.execute(" END -- of it")),
    "a cursor's COMMIT": committed_by(lambda connection: connection.cursor().execute("COMMIT")),
    "what a script commits first": committed_by(lambda connection: connection.executescript("SELECT 1")),
    "RELEASE": lambda c: (c.execute("SAVEPOINT a"), c.execute(INSERT), c.execute("RELEASE a")),
    "a schema": committed_by(lambda connection: connection.commit(), "CREATE TABLE more (n)"),
    "a PRAGMA": committed_by(lambda connection: connection.commit(), "PRAGMA user_version = 9"),
    "INSERT": lambda c: c.execute(INSERT),
    "WITH": lambda c: c.execute("WITH x(n) AS (SELECT 2) INSERT INTO rows SELECT n FROM x"),
    "RETURNING": lambda c: c.execute(INSERT + " RETURNING n").fetchall(),
    "UPDATE": lambda c: c.execute("/* now */ UPDATE rows SET n = 7"),
    "DELETE": lambda c: c.execute("DELETE FROM rows"),
    "CREATE": lambda c: c.execute("CREATE TABLE more (n)"),
    "ALTER": lambda c: c.execute("ALTER TABLE rows ADD COLUMN m"),
    "DROP": lambda c: c.execute("DROP TABLE spare"),
    "user_version": lambda c: c.execute("PRAGMA user_version = 9"),
    "VACUUM": lambda c: c.execute("VACUUM"),
    "cursor": lambda c: c.cursor().execute(INSERT),
    "cursor, many": lambda c: c.cursor().executemany("INSERT INTO rows VALUES (?)", [(2,)]),
    "script": lambda c: c.cursor().executescript(INSERT),
}


def state(connection: sqlite3.Connection) -> list[object]:
    head = connection.execute("PRAGMA user_version").fetchall()
    return [
        head,
        *connection.execute("SELECT * FROM rows").fetchall(),
        *connection.execute("SELECT * FROM sqlite_master"),
    ]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_no_way_to_write_gets_around_a_full_disk(place: Path | None, write: Deed) -> None:
    disk = VirtualDisk()
    connection = disk.connect(place or ":memory:", isolation_level=None)
    connection.executescript(f"{MIGRATIONS[0]}; CREATE TABLE spare (n); {INSERT}")
    for statement in ("BEGIN", INSERT, "ROLLBACK", "BEGIN", "COMMIT"):  # so that sqlite3 has them prepared
        connection.execute(statement)
    before = state(connection)
    disk.fill()
    with pytest.raises(sqlite3.OperationalError, match=r"^database or disk is full$") as caught:
        write(connection)
    assert caught.value.sqlite_errorname == "SQLITE_FULL"
    connection.rollback()
    assert state(connection) == before
    disk.mend()
    write(connection)
    assert state(connection) != before or write is WRITES["VACUUM"]
    connection.close()


def test_where_sqlite3_itself_opens_transactions_nothing_is_taken_either() -> None:
    disk = VirtualDisk()
    connection = disk.connect(":memory:")
    connection.execute("CREATE TABLE rows (n)")
    for begun_before in (True, False):
        if begun_before:
            connection.execute(INSERT)
        disk.fill()
        with pytest.raises(sqlite3.OperationalError, match="full"):
            with connection:
                connection.execute(INSERT)
        assert not connection.in_transaction
        assert connection.execute("SELECT n FROM rows").fetchall() == []
        disk.mend()


@pytest.mark.parametrize("write", ["CREATE TABLE more (n)", "PRAGMA user_version = 9", INSERT])
def test_what_was_written_before_the_disk_was_full_is_not_committed_after_it(write: str) -> None:
    disk = VirtualDisk()
    connection = disk.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE rows (n)")
    before = state(connection)
    connection.execute("BEGIN")
    connection.execute(write)
    disk.fill()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        connection.execute("COMMIT")
    connection.execute("ROLLBACK")
    assert state(connection) == before
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def test_a_broken_disk_gives_nothing_to_cursors_and_commits_nothing() -> None:
    disk = VirtualDisk()
    connection = disk.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE rows (n)")
    cursor = connection.cursor()
    connection.execute("BEGIN")
    connection.execute(INSERT)
    disk.fail()
    reads: list[Deed] = [
        lambda _: cursor.execute("SELECT 1"),
        lambda _: cursor.executemany(INSERT, []),
        lambda _: cursor.executescript("SELECT 1"),
        lambda c: c.commit(),
        lambda c: c.execute("COMMIT"),
    ]
    for deed in reads:
        with pytest.raises(sqlite3.OperationalError, match=r"^disk I/O error$"):
            deed(connection)
    with pytest.raises(sqlite3.OperationalError, match="I/O"):
        with connection:
            pass
    disk.mend()
    assert connection.execute("SELECT n FROM rows").fetchall() == []


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
