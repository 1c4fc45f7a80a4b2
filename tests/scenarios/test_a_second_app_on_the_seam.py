"""A guestbook, written against `Host` and nothing else: is the seam enough for somebody else's app?

Whoever is asked signs lines into its own guestbook, tells those who follow it, publishes how many lines there are, and
keeps a sealed note for each guest. Nothing of it is known to the house.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from kadnet.errors import DataDirError, InputError, KadnetError, LinkLost, PeerRefused, ProtocolError
from kadnet.events import LinkUp
from kadnet.host import Host
from kadnet.lab import LabNode, World, open_world, run, run_until
from kadnet.node import Node, open_node
from kadnet.storage import Database
from kadnet.wire.keys import Key

SIGN, NEWS, READ = "guestbook/sign", "guestbook/news", "guestbook/read"
TABLES = ["CREATE TABLE lines (number INTEGER PRIMARY KEY, guest BLOB, line TEXT, signature BLOB)"]


@dataclass(frozen=True, slots=True)
class GuestbookSettings:
    longest: int = 80
    greeting: str = "welcome"

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise ValueError("longest must be at least 1")


@dataclass
class Guestbook:
    name: str = "guestbook"
    news: list[bytes] = field(default_factory=list)
    met: list[bytes] = field(default_factory=list)

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.host = host
        self.settings = host.settings("guestbook", GuestbookSettings)
        self.database: Database = host.database("guestbook", TABLES, precious=True)
        self.counters = host.counters("guestbook")
        host.handle(SIGN, self.on_sign, max_body=1000)
        host.handle(READ, self.on_read)
        host.handle(NEWS, None, self.on_news)
        async with host.events() as stream:
            task_status.started()
            async for event in stream:
                if isinstance(event, LinkUp):
                    self.met.append(event.peer)

    # What others ask of it.

    async def on_sign(self, guest: bytes, body: bytes) -> bytes:
        signature, line = body[:64], body[64:]
        if not self.host.verify(guest, SIGN, line, signature):
            raise ProtocolError("bad-signature")
        if len(line) > self.settings.longest:
            raise InputError(f"a line has at most {self.settings.longest} bytes")

        def insert(connection: sqlite3.Connection) -> int:
            row = (guest, line.decode(), signature)
            number = connection.execute("INSERT INTO lines (guest, line, signature) VALUES (?, ?, ?)", row).lastrowid
            assert number is not None
            return number

        number = await self.database.write(insert)
        self.counters.add("signed")
        thanks = f"{self.settings.greeting}, guest {number}".encode()
        return self.host.seal(guest, READ, thanks)

    async def on_read(self, _guest: bytes, _body: bytes) -> bytes:
        return "\n".join(self.lines()).encode()

    async def on_news(self, _host: bytes, body: bytes) -> None:
        self.news.append(body)

    # What its own person asks of it.

    def lines(self) -> list[str]:
        return [line for (line,) in self.database.read("SELECT line FROM lines ORDER BY number")]

    async def sign(self, whose: bytes, line: str) -> str:
        signed = self.host.sign(SIGN, line.encode()) + line.encode()
        return self.host.unseal(READ, await self.host.request(whose, SIGN, signed)).decode()

    async def read(self, whose: bytes) -> list[str]:
        while True:
            try:
                return (await self.host.request(whose, READ, b"")).decode().split("\n")
            except LinkLost:  # it may have been answered; to read twice does no harm
                continue

    async def publish(self) -> None:
        key = Key.owned(self.host.id, "guestbook")
        await self.host.put(key, str(len(self.lines())).encode())

    async def published(self, whose: bytes) -> bytes:
        (entry,) = (await self.host.get(Key.owned(whose, "guestbook"))).entries
        return entry.value


async def start(world: World, name: str, tmp_path: Path) -> tuple[LabNode, Guestbook]:
    app = Guestbook()
    return await world.start(name, bootstrap=world.seeds(), data_dir=tmp_path / name, apps=[app]), app


def test_it_works_and_its_book_survives_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=3) as world:
            await world.grow(8)
            (tmp_path / "inn").mkdir(mode=0o700)
            (tmp_path / "inn" / "config.toml").write_text('[guestbook]\nlongest = 20\ngreeting = "hello"\n')
            inn, book = await start(world, "inn", tmp_path)
            guest, pen = await start(world, "guest", tmp_path)
            await world.all_joined()

            assert await pen.sign(inn.node.id, "we were here") == "hello, guest 1"
            assert await pen.sign(inn.node.id, "and again") == "hello, guest 2"
            with pytest.raises(PeerRefused) as caught:
                await pen.sign(inn.node.id, "x" * 21)
            assert caught.value.reason == "input"
            with pytest.raises(PeerRefused) as caught:
                await guest.node.request(inn.node.id, SIGN, bytes(64) + b"forged")
            assert caught.value.reason == "bad-signature"
            with pytest.raises(PeerRefused) as caught:
                await guest.node.request(inn.node.id, SIGN, bytes(1001))
            assert caught.value.reason == "too-large"

            await book.host.notify(guest.node.id, NEWS, b"a new line")
            await run_until(lambda: pen.news == [b"a new line"], 5)
            assert pen.met == [inn.node.id]
            await book.publish()
            assert await pen.published(inn.node.id) == b"2"
            found = await pen.host.find(inn.node.id)
            assert found is not None
            assert found.endpoint.host == inn.address.host
            assert inn.node.status().counters["guestbook"] == {"signed": 2}

            world.kill("inn")
            again, book = await start(world, "inn", tmp_path)
            assert again.node.id == inn.node.id
            assert book.lines() == ["we were here", "and again"]
            assert await pen.read(again.node.id) == ["we were here", "and again"]
            assert await pen.sign(again.node.id, "third") == "hello, guest 3"

    run(main, seed=3)


@asynccontextmanager
async def opened(data_dir: Path | None, *apps: Guestbook) -> AsyncIterator[Node]:
    async with open_node(data_dir, listen="127.0.0.1:0", apps=apps) as node:
        yield node


async def fails(data_dir: Path | None, *apps: Guestbook) -> KadnetError:
    """What opening raises: bare, in one line."""
    with pytest.raises(KadnetError) as caught:
        async with opened(data_dir, *apps):
            raise AssertionError("it opened")
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_damaged_book_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "inn"
    async with opened(home, Guestbook()):
        pass
    damaged = b"this is no database" * 1000
    (home / "guestbook.db").write_bytes(damaged)
    error = await fails(home, Guestbook())
    assert isinstance(error, DataDirError)
    assert "guestbook.db is damaged" in str(error)
    assert (home / "guestbook.db").read_bytes() == damaged
    async with opened(home):  # without the app the node runs: everything was closed, and the lock is free
        pass


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[guestbook]\nlongest = 0\n", "longest must be at least 1"),
        ("[guestbook]\nlongst = 1\n", "unknown name 'longst'"),
        ('[guestbook]\nlongest = "long"\n', "whole number"),
        ("[guest-book]\n", r"unknown section \[guest-book\]"),
    ],
)
async def test_a_bad_section_is_refused(tmp_path: Path, section: str, said: str) -> None:
    home = tmp_path / "inn"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(section)
    error = await fails(home, Guestbook())
    assert isinstance(error, InputError)
    assert re.search(said, str(error))


async def test_two_of_one_name_cannot_run_together() -> None:
    assert "guestbook" in str(await fails(None, Guestbook(), Guestbook()))
