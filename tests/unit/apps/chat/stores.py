"""A mailbox and a book by themselves, over one database."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

from kadnet.apps.chat.book import Book
from kadnet.apps.chat.mailbox import Kept, Mailbox, Receipt
from kadnet.apps.chat.protocol import Body, Proof
from kadnet.apps.chat.schema import MIGRATIONS
from kadnet.apps.chat.settings import ChatSettings
from kadnet.errors import ProtocolError
from kadnet.lab import EPOCH, VirtualWall
from kadnet.storage import Database
from tests.unit.overlay.bench import inline
from tests.unit.overlay.builders import identity

NOW = int(EPOCH)
ALICE, BOB, CAROL = (identity(name).public for name in ("alice", "bob", "carol"))


def body(number: int, text: str = "hello", sent_at: int = NOW) -> Body:
    return Body(number.to_bytes(16, "big"), sent_at, text)


@dataclass
class Stores:
    mailbox: Mailbox
    book: Book
    database: Database
    wall: VirtualWall
    told: list[object] = field(default_factory=list)

    async def receive(self, sender: bytes, received: Body, at: int = NOW) -> Kept | str:
        """What the inbox says; a refusal by its reason."""
        try:
            return await self.mailbox.receive(sender, received, at, self.told.append)
        except ProtocolError as error:
            return error.reason

    async def fill(self, sender: bytes, numbers: range, text: str = "hello") -> list[Kept | str]:
        return [await self.receive(sender, body(number, text)) for number in numbers]

    async def enqueue(self, recipient: bytes, sent: Body, address: str | None = None) -> int:
        return await self.mailbox.enqueue(sent, recipient, address, self.told.append)

    async def deliver(self, recipient: bytes, sent: Body, at: int = NOW) -> Receipt:
        return await self.mailbox.delivered(sent.id, recipient, Proof(at, bytes(64)), at, self.told.append)

    async def change(self, sql: str, *parameters: object) -> None:
        """What a person or a bad disk does to the file."""

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(sql, parameters)

        await self.database.write(operation)

    def rows(self, sql: str) -> list[Any]:
        return self.database.read(sql)

    def fail_writes(self) -> None:
        self.database._writer.execute("PRAGMA query_only = ON")

    def books_balance(self) -> bool:
        """The triggers' sums are what counting anew gives."""
        sums = {
            ("inbox", who): (n, size)
            for who, n, size in self.rows("SELECT sender, count(*), sum(size) FROM messages GROUP BY sender")
        }
        for what, table, where in (
            ("inbox", "messages", "1"),
            ("queued", "outbox", "state = 'queued'"),
            ("delivered", "outbox", "state = 'delivered'"),
        ):
            (sums[what, b""],) = self.rows(f"SELECT count(*), coalesce(sum(size), 0) FROM {table} WHERE {where}")
        return {(what, who): (n, size) for what, who, n, size in self.rows("SELECT * FROM used")} == sums


@asynccontextmanager
async def open_stores(path: Path | None = None, **settings: float) -> AsyncIterator[Stores]:
    chosen = replace(ChatSettings(), **settings)  # type: ignore[arg-type]  # some are ints
    wall = VirtualWall()
    database = Database(path, MIGRATIONS, offload=inline, precious=True)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(database.run)
            yield Stores(Mailbox(database, chosen), Book(database, chosen, wall), database, wall)
            nursery.cancel_scope.cancel()
    finally:
        database.close()
