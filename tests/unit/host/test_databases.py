"""The databases of apps: named, bounded, kept apart from those of the rooms, closed with the node."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from kadnet.errors import DataDirError, InputError, StorageFailed
from kadnet.host import Host
from kadnet.node import open_node
from kadnet.storage import Database

TABLES = ["CREATE TABLE t (x)"]


@dataclass
class Opener:
    """An app that does one thing as it starts."""

    does: Callable[[Host], Awaitable[None]]
    name: str = "opener"

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.does(host)
        task_status.started()
        await trio.sleep_forever()


async def during(does: Callable[[Host], Awaitable[None]], data_dir: Path | None = None) -> None:
    async with open_node(data_dir, listen="127.0.0.1:0", apps=[Opener(does)]):
        pass


def insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1)")


async def test_a_database_is_a_file_of_its_name_and_keeps_what_was_written(tmp_path: Path) -> None:
    rows: list[int] = []

    async def write(host: Host) -> None:
        database = host.database("guests", TABLES)
        await database.write(insert)
        rows.append(len(database.read("SELECT x FROM t")))

    await during(write, tmp_path / "node")
    await during(write, tmp_path / "node")
    assert rows == [1, 2]
    assert (tmp_path / "node" / "guests.db").stat().st_mode & 0o777 == 0o600


async def test_in_memory_it_is_gone_with_the_node() -> None:
    rows: list[int] = []

    async def write(host: Host) -> None:
        database = host.database("guests", TABLES)
        await database.write(insert)
        rows.append(len(database.read("SELECT x FROM t")))

    await during(write)
    await during(write)
    assert rows == [1, 1]


@pytest.mark.parametrize(
    "name", ["", "Upper", "1st", "../escape", "a/b", "a.b", "a" * 33, "records", "peers", "chat", "new\n", None]
)
async def test_names_that_cannot_be_or_are_taken_are_refused(tmp_path: Path, name: str) -> None:
    async def open_it(host: Host) -> None:
        host.database(name, TABLES)

    with pytest.raises(InputError):
        await during(open_it, tmp_path / "node")


async def test_one_name_is_opened_once(tmp_path: Path) -> None:
    async def open_twice(host: Host) -> None:
        host.database("guests", TABLES)
        host.database("guests", TABLES)

    with pytest.raises(InputError, match="'guests' is open already"):
        await during(open_twice, tmp_path / "node")


async def test_the_number_of_databases_is_bounded(tmp_path: Path) -> None:
    async def open_many(host: Host) -> None:
        for number in range(100):
            host.database(f"n{number}", TABLES)

    with pytest.raises(InputError, match="at most 32 databases"):
        await during(open_many, tmp_path / "node")


async def test_a_damaged_cache_is_begun_anew_and_noted_and_a_precious_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir(mode=0o700)
    for name in ("cache", "precious"):
        (tmp_path / "node" / f"{name}.db").write_bytes(b"no database" * 1000)
    notes: list[str] = []

    async def open_cache(host: Host) -> None:
        host.database("cache", TABLES)
        notes.extend(host.notes)

    await during(open_cache, tmp_path / "node")
    assert any("cache.db was damaged" in note for note in notes)

    async def open_precious(host: Host) -> None:
        host.database("precious", TABLES, precious=True)

    with pytest.raises(DataDirError, match=r"precious\.db is damaged"):
        await during(open_precious, tmp_path / "node")
    assert (tmp_path / "node" / "precious.db").read_bytes() == b"no database" * 1000


async def test_what_an_app_has_queued_is_written_before_the_files_close(tmp_path: Path) -> None:
    done: list[object] = []
    databases: list[Database] = []

    async def queue(host: Host) -> None:
        database = host.database("guests", TABLES)
        databases.append(database)
        for _ in range(500):
            database.submit(insert, done.append)

    await during(queue, tmp_path / "node")
    assert done == [None] * 500
    with sqlite3.connect(tmp_path / "node" / "guests.db") as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (500,)
    connection.close()
    assert not databases[0].submit(insert, done.append), "closed with the node"
    with pytest.raises(StorageFailed):
        databases[0].read("SELECT x FROM t")
