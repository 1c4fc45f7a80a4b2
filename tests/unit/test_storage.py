import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from kadnet.errors import DataDirError, StorageFailed
from kadnet.runtime import real_runtime
from kadnet.storage import Database, StorageSettings

MIGRATIONS = ("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)",)


class Disk:
    """Stands for the thread that writes: each batch waits until it is let through, and is counted."""

    def __init__(self, held: bool = False) -> None:
        self.batches = 0
        self.open = trio.Event()
        if not held:
            self.open.set()

    async def __call__(self, work: Callable[[], Any]) -> Any:
        await self.open.wait()
        self.batches += 1
        return work()


def insert(n: int) -> Callable[[sqlite3.Connection], int]:
    def operation(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO rows VALUES (?, ?)", (n, str(n)))
        return n

    return operation


def rows(database: Database) -> list[int]:
    return [row[0] for row in database.read("SELECT n FROM rows ORDER BY n")]


def on_disk(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT n FROM rows ORDER BY n")]
    connection.close()
    return found


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "rows.db" if request.param == "file" else None


async def test_a_write_is_done_and_can_be_read(place: Path | None, nursery: trio.Nursery) -> None:
    database = Database(place, MIGRATIONS, offload=real_runtime().offload)
    await nursery.start(database.run)
    assert await database.write(insert(1)) == 1
    await database.write(insert(2))
    assert rows(database) == [1, 2]
    nursery.cancel_scope.cancel()
    database.close()


async def test_many_writes_share_one_commit_and_are_answered_after_it(tmp_path: Path, nursery: trio.Nursery) -> None:
    disk, path, answers = Disk(held=True), tmp_path / "rows.db", list[tuple[object, list[int]]]()
    database = Database(path, MIGRATIONS, offload=disk)
    await nursery.start(database.run)
    for n in range(100):
        assert database.submit(insert(n), lambda result: answers.append((result, on_disk(path))))
    await trio.testing.wait_all_tasks_blocked()
    assert answers == []
    disk.open.set()
    await trio.testing.wait_all_tasks_blocked()
    assert disk.batches == 1
    assert answers == [(n, list(range(100))) for n in range(100)]
    nursery.cancel_scope.cancel()
    database.close()


async def test_a_batch_is_bounded(tmp_path: Path, nursery: trio.Nursery) -> None:
    disk = Disk()
    database = Database(tmp_path / "rows.db", MIGRATIONS, offload=disk, settings=StorageSettings(max_batch=10))
    for n in range(25):
        database.submit(insert(n), lambda result: None)
    await nursery.start(database.run)
    await trio.testing.wait_all_tasks_blocked()
    assert disk.batches == 3
    assert rows(database) == list(range(25))
    nursery.cancel_scope.cancel()
    database.close()


async def test_a_write_that_fails_fails_alone(place: Path | None, nursery: trio.Nursery) -> None:
    database = Database(place, MIGRATIONS, offload=Disk())
    answers: list[object] = []
    for n in (1, 2, 1, 3):
        database.submit(insert(n), answers.append)
    await nursery.start(database.run)
    await trio.testing.wait_all_tasks_blocked()
    assert [type(answer) for answer in answers] == [int, int, StorageFailed, int]
    assert "UNIQUE" in str(answers[2])
    assert rows(database) == [1, 2, 3]
    with pytest.raises(StorageFailed, match="cannot be written"):
        await database.write(insert(1))
    assert await database.write(insert(4)) == 4
    nursery.cancel_scope.cancel()
    database.close()


async def test_half_of_a_write_is_never_kept(place: Path | None, nursery: trio.Nursery) -> None:
    def two(connection: sqlite3.Connection) -> None:
        insert(7)(connection)
        insert(1)(connection)

    database = Database(place, MIGRATIONS, offload=Disk())
    await nursery.start(database.run)
    await database.write(insert(1))
    with pytest.raises(StorageFailed):
        await database.write(two)
    assert rows(database) == [1]
    nursery.cancel_scope.cancel()
    database.close()


async def test_a_full_queue_refuses_and_keeps_what_it_has(place: Path | None, nursery: trio.Nursery) -> None:
    database = Database(place, MIGRATIONS, offload=Disk(), settings=StorageSettings(max_queue=3))
    answers: list[object] = []
    assert [database.submit(insert(n), answers.append) for n in range(5)] == [True, True, True, False, False]
    with pytest.raises(StorageFailed, match="too many writes waiting"):
        await database.write(insert(9))
    await nursery.start(database.run)
    await trio.testing.wait_all_tasks_blocked()
    assert answers == rows(database) == [0, 1, 2]
    assert database.submit(insert(3), answers.append)
    nursery.cancel_scope.cancel()
    await trio.lowlevel.cancel_shielded_checkpoint()
    database.close()


async def test_a_writer_that_is_cancelled_commits_and_reports_what_is_queued(place: Path | None) -> None:
    disk = Disk(held=True)
    database = Database(place, MIGRATIONS, offload=disk, settings=StorageSettings(max_batch=2))
    answers: list[object] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        for n in range(5):
            database.submit(insert(n), answers.append)
        nursery.cancel_scope.cancel()
        disk.open.set()
    assert answers == rows(database) == [0, 1, 2, 3, 4]
    database.close()


async def test_a_batch_under_way_is_reported_although_the_writer_is_cancelled(place: Path | None) -> None:
    disk = Disk(held=True)
    database = Database(place, MIGRATIONS, offload=disk)
    answers: list[object] = []
    async with trio.open_nursery() as nursery:

        def stop(result: object) -> None:
            answers.append(result)
            nursery.cancel_scope.cancel()

        await nursery.start(database.run)
        database.submit(insert(1), answers.append)
        await trio.testing.wait_all_tasks_blocked()  # the file's batch waits for the disk now
        database.submit(insert(2), stop)
        database.submit(insert(3), answers.append)
        nursery.start_soon(trio.sleep_forever)
        disk.open.set()
    assert answers == rows(database) == [1, 2, 3]
    database.close()


async def test_a_write_that_is_queued_is_done_although_its_caller_is_cancelled(tmp_path: Path) -> None:
    disk = Disk(held=True)
    database = Database(tmp_path / "rows.db", MIGRATIONS, offload=disk)
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        told: list[list[int]] = []
        with trio.move_on_after(0):
            await database.write(insert(1), after=lambda: told.append(rows(database)))
        assert told == []
        disk.open.set()
        await trio.testing.wait_all_tasks_blocked()
        assert rows(database) == [1]
        assert told == [[1]]  # right behind the commit, though nobody waits
        nursery.cancel_scope.cancel()
    database.close()


async def test_reads_do_not_see_what_is_not_committed(tmp_path: Path, nursery: trio.Nursery) -> None:
    seen: list[list[int]] = []

    def look(connection: sqlite3.Connection) -> list[int]:
        insert(1)(connection)
        seen.append(rows(database))
        return [row[0] for row in connection.execute("SELECT n FROM rows")]

    database = Database(tmp_path / "rows.db", MIGRATIONS, offload=Disk())
    await nursery.start(database.run)
    assert await database.write(look) == [1]
    assert seen == [[]]
    assert rows(database) == [1]
    nursery.cancel_scope.cancel()
    database.close()


async def test_a_write_decides_on_what_the_ones_before_it_wrote(place: Path | None, nursery: trio.Nursery) -> None:
    def next_one(connection: sqlite3.Connection) -> int:
        n: int = connection.execute("SELECT coalesce(max(n), 0) + 1 FROM rows").fetchone()[0]
        return insert(n)(connection)

    database = Database(place, MIGRATIONS, offload=Disk())
    answers: list[object] = []
    for _ in range(10):
        database.submit(next_one, answers.append)
    await nursery.start(database.run)
    await trio.testing.wait_all_tasks_blocked()
    assert answers == list(range(1, 11))
    nursery.cancel_scope.cancel()
    database.close()


def test_what_nobody_wrote_is_refused_at_the_close(place: Path | None) -> None:
    database = Database(place, MIGRATIONS, offload=Disk())
    answers: list[object] = []
    database.submit(insert(1), answers.append)
    database.close()
    assert [str(answer) for answer in answers] == [f"{place.name if place else 'the database in memory'} is closed"]
    assert not database.submit(insert(2), answers.append)


def test_a_query_that_fails_says_so(place: Path | None) -> None:
    database = Database(place, MIGRATIONS, offload=Disk())
    with pytest.raises(StorageFailed, match="cannot be read: no such table"):
        database.read("SELECT * FROM nowhere")
    database.close()


def make(path: Path, *migrations: str, precious: bool = False) -> Database:
    return Database(path, migrations or MIGRATIONS, offload=Disk(), precious=precious)


def test_migrations_run_in_order_once_each(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    steps = ("CREATE TABLE a (x)", "INSERT INTO a VALUES (1);", "ALTER TABLE a RENAME TO b; INSERT INTO b VALUES (2)")
    make(path, *steps[:1]).close()
    make(path, *steps[:2]).close()
    for _ in range(2):
        database = make(path, *steps)
        assert database.read("SELECT x FROM b ORDER BY x") == [(1,), (2,)]
        assert database.read("PRAGMA user_version") == [(3,)]
        assert database.notes == []
        database.close()


def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    good = "CREATE TABLE a (x)"
    make(path, good).close()
    with pytest.raises(DataDirError, match="cannot be opened"):
        make(path, good, "INSERT INTO a VALUES (1); SELEKT")
    database = make(path, good)
    assert database.read("SELECT * FROM a") == []
    database.close()


@pytest.mark.parametrize("precious", [False, True])
def test_a_newer_schema_is_refused_and_untouched(tmp_path: Path, precious: bool) -> None:
    path = tmp_path / "rows.db"
    make(path, *MIGRATIONS, "CREATE TABLE more (x)").close()
    before = path.read_bytes()
    with pytest.raises(DataDirError, match=r"rows\.db has schema 2, newer than this kadnet knows \(1\)") as caught:
        make(path, precious=precious)
    assert "newer kadnet" in (caught.value.hint or "")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["rows.db"]


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database " * 300)


def torn_page(path: Path) -> None:
    database = make(path, *MIGRATIONS, "CREATE TABLE filler (x)")
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO rows VALUES (?, ?)", [(n, "x" * 100) for n in range(500)])
    connection.commit()
    connection.close()
    database.close()
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 6] = b"torn" * (1024 * 3)
    path.write_bytes(data)


def foreign_schema(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (something_else)")
    connection.commit()
    connection.close()


DAMAGE = [no_database, torn_page, foreign_schema]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_moved_aside_and_begun_anew_and_said(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "rows.db"
    damage(path)
    before = path.read_bytes()
    migrations = (*MIGRATIONS, "CREATE TABLE filler (x)")
    database = make(path, *migrations)
    assert rows(database) == []
    assert len(database.notes) == 1
    assert database.notes[0].startswith("rows.db was damaged (")
    assert database.notes[0].endswith("); moved to rows.db.damaged, begun anew")
    assert len(database.notes[0].splitlines()) == 1
    assert (tmp_path / "rows.db.damaged").read_bytes() == before
    database.close()
    again = make(path, *migrations)
    assert again.notes == []
    again.close()


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_precious_is_refused_when_damaged_and_never_touched(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "rows.db"
    damage(path)
    before = path.read_bytes()
    with pytest.raises(DataDirError, match="is damaged") as caught:
        make(path, *MIGRATIONS, "CREATE TABLE filler (x)", precious=True)
    assert caught.value.hint == "restore it from a backup"
    assert path.read_bytes() == before
    assert not (tmp_path / "rows.db.damaged").exists()


def test_a_folder_in_its_place_is_an_error_of_the_data_dir(tmp_path: Path) -> None:
    (tmp_path / "rows.db").mkdir()
    with pytest.raises(DataDirError, match="cannot be opened"):
        make(tmp_path / "rows.db")
    assert (tmp_path / "rows.db").is_dir()


@pytest.mark.parametrize(("precious", "level"), [(False, 1), (True, 2)])
def test_a_file_is_private_and_what_is_precious_is_synced(tmp_path: Path, precious: bool, level: int) -> None:
    path = tmp_path / "rows.db"
    database = make(path, precious=precious)
    assert path.stat().st_mode & 0o777 == 0o600
    assert database._writer.execute("PRAGMA synchronous").fetchone() == (level,)
    assert database.read("PRAGMA journal_mode") == [("wal",)]
    database.close()


CHILD = """
import sys, trio
from pathlib import Path
from kadnet.runtime import real_runtime
from kadnet.storage import Database

async def main():
    migrations = ["CREATE TABLE rows (n INTEGER PRIMARY KEY)"]
    database = Database(Path(sys.argv[1]), migrations, offload=real_runtime().offload)
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        for n in range(1_000_000):
            await database.write(lambda connection: connection.execute("INSERT INTO rows VALUES (?)", (n,)).rowcount)
            sys.stdout.write(f"{n}\\n")
            sys.stdout.flush()

trio.run(main)
"""


def test_what_was_acknowledged_survives_the_death_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(50)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().splitlines()]
    database = make(path, "CREATE TABLE rows (n INTEGER PRIMARY KEY)", precious=True)
    found = rows(database)
    database.close()
    assert found[: len(acknowledged)] == acknowledged
    assert len(acknowledged) >= 50
    assert len(found) <= len(acknowledged) + 1  # the one whose answer was still on its way
