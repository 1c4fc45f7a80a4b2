"""Writes that may be refused: a refusal fails alone, and only what is on the disk is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.apps.chat.writing import write
from kadnet.errors import InputError, ProtocolError, StorageFailed
from kadnet.runtime import real_runtime
from kadnet.storage import Database, StorageSettings
from tests.unit.overlay.bench import inline

MIGRATIONS = ("CREATE TABLE rows (n INTEGER PRIMARY KEY)",)


def insert(number: int) -> Callable[[sqlite3.Connection], int]:
    def operation(connection: sqlite3.Connection) -> int:
        if number < 0:
            raise InputError("below zero")
        if number > 99:
            raise ProtocolError("large")
        connection.execute("INSERT INTO rows VALUES (?)", (number,))
        return number

    return operation


async def test_a_refusal_fails_no_other_write_and_is_raised_where_it_was_asked(nursery: trio.Nursery) -> None:
    database = Database(None, MIGRATIONS, offload=inline)
    told: list[int] = []
    errors: list[str] = []

    async def one(number: int) -> None:
        try:
            await write(database, insert(number), told=told.append)
        except (InputError, ProtocolError, StorageFailed) as error:
            errors.append(type(error).__name__)

    for number in (1, -1, 2, 100, 3, 3):
        nursery.start_soon(one, number)
    await trio.testing.wait_all_tasks_blocked()
    await nursery.start(database.run)
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(told) == [1, 2, 3]
    assert sorted(errors) == ["InputError", "ProtocolError", "StorageFailed"]
    assert database.read("SELECT n FROM rows") == [(1,), (2,), (3,)]
    nursery.cancel_scope.cancel()
    database.close()


async def test_what_is_told_is_on_the_disk_although_nobody_waits(tmp_path: Path, nursery: trio.Nursery) -> None:
    database = Database(tmp_path / "rows.db", MIGRATIONS, offload=real_runtime().offload, precious=True)
    done = trio.Event()
    on_disk: list[object] = []

    def told(_: int) -> None:
        on_disk.extend(database.read("SELECT n FROM rows"))
        done.set()

    with trio.CancelScope() as scope:
        scope.cancel()
        await write(database, insert(1), told=told)
    assert scope.cancelled_caught
    await nursery.start(database.run)
    await done.wait()
    assert on_disk == [(1,)]
    nursery.cancel_scope.cancel()
    await trio.lowlevel.cancel_shielded_checkpoint()
    database.close()


async def test_too_many_waiting_writes_and_a_closed_database_are_said() -> None:
    database = Database(None, MIGRATIONS, offload=inline, settings=StorageSettings(max_queue=1))
    assert database.submit(insert(1), lambda _: None)
    with pytest.raises(StorageFailed, match="takes no more writes"):
        await write(database, insert(2))
    database.close()
    with pytest.raises(StorageFailed, match="takes no more writes"):
        await write(database, insert(3))
