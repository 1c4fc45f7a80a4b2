"""Contacts on disk: the newest first, so many and no more, and hearsay until they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.lab import VirtualWall
from kadnet.overlay.peercache import MIGRATIONS, PeerCache, PeerCacheSettings
from kadnet.storage import Database
from tests.unit.overlay.bench import inline, on_virtual_time
from tests.unit.overlay.builders import PORT, identity


def contact(number: int) -> Contact:
    return Contact(identity(str(number)).public, Endpoint(f"10.0.{number}.1", PORT))


@asynccontextmanager
async def cache(path: Path | None = None, **settings: float) -> AsyncIterator[tuple[PeerCache, Database]]:
    database = Database(path, MIGRATIONS, offload=inline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.run)
        yield PeerCache(database, PeerCacheSettings(**settings), VirtualWall()), database  # type: ignore[arg-type]  # some are ints
        nursery.cancel_scope.cancel()
    database.close()


@on_virtual_time
async def test_the_contacts_heard_of_last_come_first_after_a_restart(tmp_path: Path) -> None:
    async with cache(tmp_path / "p.db") as (peers, _):
        for number in range(5):
            peers.save([contact(number)])
            await trio.sleep(10)
    async with cache(tmp_path / "p.db", seeds=3) as (peers, _):
        assert peers.seeds() == [contact(4), contact(3), contact(2)]


@on_virtual_time
async def test_so_many_are_kept_and_the_old_are_forgotten() -> None:
    async with cache(max_peers=3, max_age=100.0) as (peers, database):
        for number in range(5):
            peers.save([contact(number)])
            await trio.sleep(1)
        assert peers.seeds() == [contact(4), contact(3), contact(2)]
        await trio.sleep(101)
        peers.save([contact(9)])
        await trio.sleep(1)
        assert peers.seeds() == [contact(9)]
        assert database.read("SELECT count(*) FROM peers") == [(1,)]


@on_virtual_time
async def test_a_contact_that_moved_is_kept_where_it_is_now_and_damage_is_passed_over() -> None:
    async with cache() as (peers, database):
        moved = Contact(contact(1).id, Endpoint("10.9.9.9", PORT))
        peers.save([contact(1)])
        peers.save([moved])
        await database.write(lambda c: c.execute("INSERT INTO peers VALUES (x'00', x'0011', 0)"))
        assert peers.seeds() == [moved]
