"""A record store by itself: SQLite in memory or in a file, virtual time, and a wall clock that can be set wrong."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import trio

from kadnet.lab import VirtualWall, run
from kadnet.overlay.schema import MIGRATIONS
from kadnet.overlay.store import RecordStore, StoreSettings
from kadnet.storage import Database
from kadnet.wire.kinds import DAY
from kadnet.wire.messages import Status
from kadnet.wire.records import Record, parse


async def inline(work: Callable[[], Any]) -> Any:
    return work()


class Bench:
    """One store, its database, and the wall clock it reads."""

    def __init__(self, store: RecordStore, database: Database, wall: VirtualWall) -> None:
        self.store = store
        self.database = database
        self.wall = wall

    async def put(
        self,
        record: Record,
        remaining: float = DAY,
        prefix: bytes = b"",
        *,
        cached: bool = False,
        by_publisher: bool = False,
    ) -> tuple[Status, int]:
        answers: list[tuple[Status, int]] = []
        done = trio.Event()

        def answered(status: Status, seq: int) -> None:
            answers.append((status, seq))
            done.set()

        assert self.store.put(parse(record), remaining, prefix, cached, answered, by_publisher=by_publisher)
        await done.wait()
        return answers[0]

    def held(self, record: Record) -> bool:
        return any(h.payload == record.payload for h in self.store.get(parse(record).key))

    def remaining(self, record: Record) -> float:
        (found,) = [h for h in self.store.get(parse(record).key) if h.payload == record.payload]
        return found.lapses - trio.current_time()

    def rows(self, sql: str) -> list[Any]:
        return self.database.read(sql)

    def one(self, sql: str) -> Any:
        return self.rows(sql)[0][0]

    def fail_writes(self) -> None:
        """The disk takes nothing more."""
        self.database._writer.execute("PRAGMA query_only = ON")

    def books_balance(self) -> bool:
        """The triggers' sums are what counting anew gives, for every prefix and in all."""
        sums = {
            ("bytes", prefix): amount
            for prefix, amount in self.rows("SELECT prefix, sum(size) FROM records GROUP BY prefix")
        }
        sums |= {
            ("floors", prefix): amount
            for prefix, amount in self.rows("SELECT prefix, count(*) FROM floors GROUP BY prefix")
        }
        sums["bytes-all", b""] = self.one("SELECT coalesce(sum(size), 0) FROM records")
        sums["floors-all", b""] = self.one("SELECT count(*) FROM floors")
        kept = {(w, p): a for w, p, a in self.rows("SELECT what, prefix, amount FROM used WHERE what != 'arrivals'")}
        return kept == sums


@asynccontextmanager
async def open_bench(
    settings: StoreSettings | None = None, *, path: Path | None = None, wall: VirtualWall | None = None
) -> AsyncIterator[Bench]:
    wall = wall or VirtualWall()
    database = Database(path, MIGRATIONS, offload=inline)
    store = RecordStore(database, settings or StoreSettings(), now=trio.current_time, wall=wall, rng=random.Random(1))
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(database.run)
            await store.open()
            yield Bench(store, database, wall)
            nursery.cancel_scope.cancel()
    finally:
        database.close()


def on_virtual_time(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test of a coroutine function on virtual time; its parameters stay pytest's."""

    @wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        run(main, seed=1, virtual_limit=60 * DAY)

    return wrapper


def error_of(connection: sqlite3.Connection) -> None:
    """A write that the disk does not take."""
    raise sqlite3.OperationalError("disk full")
