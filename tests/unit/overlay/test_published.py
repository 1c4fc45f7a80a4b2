"""What a node has published lives as long as the node, and no longer than its lease after it."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from kadnet.errors import Conflict, StorageFailed
from kadnet.lab import VirtualWall, run_until
from kadnet.overlay import schema
from kadnet.overlay.published import Publication, Published
from kadnet.storage import Database, Offload
from kadnet.wire.keys import Key
from kadnet.wire.kinds import DAY, HOUR
from kadnet.wire.messages import Status
from kadnet.wire.records import MAX_SEQ, Entry, blob, parse
from tests.unit.overlay.bench import inline, on_virtual_time
from tests.unit.overlay.builders import CALM, PUBLIC, Lab, contact_of, entry, identity, in_lab, values

X = Key.shared("x")


def entry_of(published: Published) -> Entry:
    publication = published.get(X.hash)
    assert publication is not None
    assert publication.parsed.entry is not None
    return publication.parsed.entry


def open_published(
    path: Path | None, wall: VirtualWall, nursery: trio.Nursery, offload: Offload = inline
) -> tuple[Published, Database]:
    database = Database(path, schema.MIGRATIONS, offload=offload)
    nursery.start_soon(database.run)
    now = trio.current_time
    return Published(database, identity("me"), PUBLIC, now=now, wall=wall, max_records=3, read_cache=16), database


@on_virtual_time
async def test_seq_grows_by_one_from_the_highest_known_and_over_a_restart(tmp_path: Path) -> None:
    wall, seqs = VirtualWall(), []
    for met in (None, None, 7, 2, None):
        async with trio.open_nursery() as nursery:
            published, database = open_published(tmp_path / "r.db", wall, nursery)
            seqs.append((await published.put_entry(X, b"v", DAY, met, None)).parsed.seq)
            nursery.cancel_scope.cancel()
        database.close()
    assert seqs == [1, 2, 8, 9, 10]


@on_virtual_time
async def test_if_seq_that_is_not_the_highest_is_a_conflict_that_names_it() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        await published.put_entry(X, b"v", DAY, 4, 4)
        for if_seq in (0, 4, 6):
            with pytest.raises(Conflict) as conflict:
                await published.put_entry(X, b"v", DAY, 3, if_seq)
            assert conflict.value.seq == 5
        assert entry_of(published).seq == 5
        nursery.cancel_scope.cancel()
    database.close()


@on_virtual_time
async def test_a_renewal_has_the_same_seq_and_value_and_a_later_expires() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        await published.put_entry(X, b"v", DAY, None, None)
        before = entry_of(published)
        await trio.sleep(HOUR)
        await published.renew(X.hash)
        after = entry_of(published)
        assert after == before._replace(expires=before.expires + HOUR)
        assert await published.renew(bytes(32)) is None
        nursery.cancel_scope.cancel()
    database.close()


@on_virtual_time
async def test_there_is_a_bound_on_what_one_node_publishes() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        for number in range(3):
            await published.put_blob(b"%d" % number, DAY)
        with pytest.raises(StorageFailed, match="3 records"):
            await published.put_blob(b"4", DAY)
        await published.put_blob(b"2", DAY)  # again what is there
        assert published.count() == 3
        nursery.cancel_scope.cancel()
    database.close()


@on_virtual_time
async def test_our_own_record_is_not_shown_past_its_end() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        await published.put_entry(X, b"v", 60, None, None)
        assert published.get(X.hash) is not None
        await trio.sleep(61)
        assert published.get(X.hash) is None
        assert published.due(9) == [X.hash]
        nursery.cancel_scope.cancel()
    database.close()


def test_the_last_second_of_a_life_counts() -> None:
    """A holder takes nothing whose life is over: what is left is rounded up."""
    publication = Publication(parse(blob(b"v")), 10, 0, 1000.0)
    walls = (980.0, 990.0, 999.0, 999.9, 1000.0, 1001.0)
    assert [publication.remaining(wall) for wall in walls] == [10, 10, 1, 1, 0, 0]


@on_virtual_time
async def test_what_is_due_is_counted_on_a_clock_that_nobody_sets(tmp_path: Path) -> None:
    """Seconds of this run; the wall clock only tells how long the node was down, and never that it was less than 0."""
    wall = VirtualWall()
    for offset, down, left in ((0.0, 0, 1000), (-DAY, 100, 1000), (0.0, 100, 0)):
        async with trio.open_nursery() as nursery:
            published, database = open_published(tmp_path / "r.db", wall, nursery)
            if not down:
                await published.put_entry(X, b"v", DAY, None, None)
                assert published.due(9) == [X.hash]  # until somebody has it
                await published.stored(X.hash, 1, 3, 1000.0)
            await trio.sleep(down)
            wall.offset = offset
            now, noted = trio.current_time(), wall()
            await database.write(partial(schema.rebase, now=now, wall=noted))
            assert (published.next_due() or 0.0) == pytest.approx(left)
            wall.offset += 10 * DAY
            assert (published.next_due() or 0.0) == pytest.approx(left)
            assert published.due(9) == ([] if left else [X.hash])
            wall.offset = offset
            nursery.cancel_scope.cancel()
        database.close()


@on_virtual_time
async def test_only_the_entry_that_was_overtaken_is_dropped() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        await published.put_entry(X, b"v", DAY, None, None)
        await published.put_entry(X, b"w", DAY, None, None)
        await published.superseded(X.hash, 1)  # a put of ours came between
        assert entry_of(published).seq == 2
        await published.superseded(X.hash, 2)
        assert published.get(X.hash) is None
        assert published.count() == 0
        nursery.cancel_scope.cancel()
    database.close()


async def slowly(work: Callable[[], Any]) -> Any:
    await trio.sleep(1)
    return work()


@on_virtual_time
async def test_a_put_that_is_cancelled_while_it_is_written_is_shown_all_the_same(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(tmp_path / "r.db", VirtualWall(), nursery, slowly)
        await published.put_entry(X, b"old", DAY, None, None)
        assert entry_of(published).value == b"old"
        with trio.move_on_after(0.5) as scope:
            await published.put_entry(X, b"new", DAY, None, None)
        assert scope.cancelled_caught
        assert entry_of(published).value == b"old"
        await trio.sleep(2)
        assert entry_of(published).value == b"new"
        with trio.move_on_after(0.5):
            await published.stored(X.hash, 2, 7, 1000.0)
        await trio.sleep(2)
        assert (publication := published.get(X.hash)) is not None
        assert publication.replicas == 7
        with trio.move_on_after(0.5):
            await published.superseded(X.hash, 2)
        await trio.sleep(2)
        assert published.get(X.hash) is None
        nursery.cancel_scope.cancel()
    database.close()


@on_virtual_time
async def test_a_seq_that_was_overtaken_is_never_used_again(tmp_path: Path) -> None:
    """Also when nobody holds anything any more, a month and a restart later."""
    wall = VirtualWall()
    for met, seq in ((6, 7), (None, 8)):
        async with trio.open_nursery() as nursery:
            published, database = open_published(tmp_path / "r.db", wall, nursery)
            assert (await published.put_entry(X, b"v", DAY, met, None)).parsed.seq == seq
            await published.superseded(X.hash, seq)
            assert published.get(X.hash) is None
            assert (published.count(), published.due(9)) == (0, [])
            await trio.sleep(30 * DAY - 1)
            await published.sweep()
            nursery.cancel_scope.cancel()
        database.close()


@on_virtual_time
async def test_a_deletion_is_remembered_for_two_weeks_after_its_end() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        for slept, seq in ((0, 1), (14 * DAY, 2), (16 * DAY, 1)):
            await trio.sleep(slept)
            await published.sweep()
            assert (await published.put_entry(X, None, DAY, None, None)).parsed.seq == seq
        nursery.cancel_scope.cancel()
    database.close()


@on_virtual_time
async def test_above_the_last_seq_a_put_is_a_conflict_that_says_so() -> None:
    async with trio.open_nursery() as nursery:
        published, database = open_published(None, VirtualWall(), nursery)
        assert (await published.put_entry(X, b"v", DAY, MAX_SEQ - 1, None)).parsed.seq == MAX_SEQ
        for if_seq in (None, MAX_SEQ):
            with pytest.raises(Conflict, match="the last seq there is") as conflict:
                await published.put_entry(X, b"w", DAY, None, if_seq)
            assert conflict.value.seq == MAX_SEQ
        assert entry_of(published).value == b"v"
        nursery.cancel_scope.cancel()
    database.close()


@in_lab
async def test_an_entry_that_was_overtaken_elsewhere_is_not_kept_up(lab: Lab) -> None:
    """Two machines with one identity: who renews gives way to the newer entry of the other, and keeps no place."""
    nodes = await lab.overlay(3)
    await nodes[1].overlay.put(X, b"old", lease=1000)
    other = await lab.raw("other", "10.1.0.1")
    for node in (nodes[0], nodes[2]):
        assert (await other.store(entry("n1", b"new", seq=7), contact_of(node))).status == Status.OK
    assert nodes[1].overlay.record_counts()[1] == 1
    await trio.sleep(520)
    assert nodes[1].overlay.record_counts()[1] == 0
    assert values(await nodes[1].overlay.get(X)) == {b"new"}
    assert (await nodes[1].overlay.put(X, b"newest")).seq == 8


@in_lab
async def test_a_wall_clock_that_is_set_back_delays_no_renewal(lab: Lab) -> None:
    nodes = await lab.overlay(4, tuning=CALM)
    await nodes[1].overlay.put(X, b"v", lease=8 * HOUR)
    await trio.sleep(60)
    lab.walls["n1"].offset = -5 * HOUR
    for _ in range(24):
        await trio.sleep(HOUR)
        assert values(await nodes[3].overlay.get(X)) == {b"v"}


@in_lab
async def test_at_half_its_lease_an_entry_is_renewed_with_its_holders(lab: Lab) -> None:
    nodes = await lab.overlay(4)
    await nodes[1].overlay.put(X, b"v", lease=1000)
    first = entry_of(nodes[1].overlay._published)
    await trio.sleep(490)
    assert entry_of(nodes[1].overlay._published) == first
    await trio.sleep(20)
    renewed = entry_of(nodes[1].overlay._published)
    assert renewed.seq == first.seq
    assert first.expires + 495 <= renewed.expires <= first.expires + 505
    for node in nodes:
        (held,) = node.overlay._store.get(X.hash)
        assert held.lapses > trio.current_time() + 980


@in_lab
async def test_an_entry_outlives_its_lease_with_its_publisher_and_ends_without_it(lab: Lab) -> None:
    nodes = await lab.overlay(5, tuning=CALM)
    await nodes[1].overlay.put(X, b"alive")  # a shared entry: 24 hours
    for _ in range(18):
        await trio.sleep(4 * HOUR)
        assert values(await nodes[3].overlay.get(X)) == {b"alive"}
    await lab.stop("n1", crash=True)
    await trio.sleep(11 * HOUR)
    assert values(await nodes[3].overlay.get(X)) == {b"alive"}
    await trio.sleep(14 * HOUR)
    assert values(await nodes[3].overlay.get(X)) == set()


@in_lab
async def test_a_blob_of_a_live_publisher_is_there_all_the_time(lab: Lab) -> None:
    """Also with a lease that ends and is taken up again many times: no gap is longer than a walk."""
    nodes = await lab.overlay(5, tuning=CALM)
    await nodes[1].overlay.put_blob(b"bytes", lease=HOUR)
    missed = 0
    for _ in range(1000):
        await trio.sleep(10 + 0.7)
        missed += values(await nodes[3].overlay.get(Key.blob_of(b"bytes"))) != {b"bytes"}
    assert missed == 0


@in_lab
async def test_what_was_put_before_a_stop_is_stored_after_the_next_start(lab: Lab, tmp_path: Path) -> None:
    node = await lab.node("node", "10.0.1.1", data_dir=tmp_path / "d")
    assert (await node.overlay.put(X, b"v")).replicas == 0
    await lab.stop("node")
    seed = await lab.node("seed", "10.0.0.1")
    again = await lab.node("node", "10.0.1.1", seed, data_dir=tmp_path / "d")
    await run_until(lambda: seed.overlay._store.get(X.hash), 10)
    publication = again.overlay._published.get(X.hash)
    assert publication is not None
    assert publication.parsed.seq == 1
