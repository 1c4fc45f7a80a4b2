"""What a holder keeps, for how long, and what it remembers of what is gone."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kadnet.lab import EPOCH, VirtualWall
from kadnet.overlay.floors import FloorSettings
from kadnet.overlay.store import StoreSettings
from kadnet.wire.keys import Key
from kadnet.wire.kinds import DAY, HOUR
from kadnet.wire.messages import Status
from kadnet.wire.records import parse
from tests.unit.overlay.bench import on_virtual_time, open_bench
from tests.unit.overlay.builders import a_blob, entry

OK = (Status.OK, 0)
A, B = b"\x0a\x00\x01", b"\x0a\x00\x02"  # storing prefixes


@on_virtual_time
async def test_the_acknowledgement_comes_after_the_commit(tmp_path: Path) -> None:
    """A second connection, which sees only what is committed, sees the record at the moment of the answer."""
    async with open_bench(path=tmp_path / "records.db") as bench:
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        seen: list[tuple[Status, int]] = []
        done = trio.Event()

        def answered(status: Status, _seq: int) -> None:
            seen.append((status, other.execute("SELECT count(*) FROM records").fetchone()[0]))
            if len(seen) == 3:
                done.set()

        for number in range(3):
            bench.store.put(parse(a_blob(number)), 60.0, b"", False, answered)
        assert seen == []
        await done.wait()
        other.close()
        assert seen == [(Status.OK, 3)] * 3  # one batch, one commit


@on_virtual_time
async def test_a_disk_that_fails_acknowledges_nothing(tmp_path: Path) -> None:
    async with open_bench(path=tmp_path / "records.db") as bench:
        assert await bench.put(a_blob(1)) == OK
        bench.fail_writes()
        assert (await bench.put(a_blob(2)))[0] is Status.FAILED
        assert bench.store.counters.failed == 1
        assert bench.held(a_blob(1))
        assert not bench.held(a_blob(2))


@on_virtual_time
async def test_a_record_is_invisible_the_moment_it_lapses() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p"), remaining=30)
        await trio.sleep(29.9)
        assert bench.held(entry("p"))
        await trio.sleep(0.2)
        assert not bench.held(entry("p"))


@on_virtual_time
async def test_a_restart_subtracts_the_time_that_passed(tmp_path: Path) -> None:
    wall = VirtualWall()
    async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
        await bench.put(entry("p"), remaining=1000)
        await trio.sleep(100)
    await trio.sleep(200)
    async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
        assert bench.remaining(entry("p")) == pytest.approx(700)
    await trio.sleep(701)
    async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
        assert not bench.held(entry("p"))


@on_virtual_time
async def test_a_wall_clock_that_jumped_back_adds_nothing(tmp_path: Path) -> None:
    wall = VirtualWall()
    async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
        await bench.put(entry("p"), remaining=1000)
    wall.offset = -DAY
    for _ in range(2):
        async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
            assert bench.remaining(entry("p")) <= 1000


@on_virtual_time
async def test_the_same_bytes_again_give_a_longer_life_from_their_publisher_alone() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p"), remaining=100)
        await trio.sleep(60)
        assert await bench.put(entry("p"), remaining=100) == OK
        assert bench.remaining(entry("p")) == pytest.approx(40)
        assert await bench.put(entry("p"), remaining=100, cached=True, by_publisher=True) == OK  # as a copy: no
        assert bench.remaining(entry("p")) == pytest.approx(40)
        assert await bench.put(entry("p"), remaining=100, by_publisher=True) == OK
        assert bench.remaining(entry("p")) == pytest.approx(100)


@on_virtual_time
async def test_no_store_makes_a_life_shorter() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p"), remaining=100)
        await bench.put(a_blob(1), remaining=100)
        assert await bench.put(entry("p"), remaining=10, by_publisher=True) == OK
        assert await bench.put(a_blob(1), remaining=10) == OK
        assert (bench.remaining(entry("p")), bench.remaining(a_blob(1))) == (100, 100)


@on_virtual_time
async def test_anybody_keeps_a_blob_alive() -> None:
    async with open_bench() as bench:
        await bench.put(a_blob(1), remaining=100)
        await trio.sleep(60)
        assert await bench.put(a_blob(1), remaining=100) == OK
        assert bench.remaining(a_blob(1)) == pytest.approx(100)


@on_virtual_time
async def test_a_longer_life_lives_on_over_a_restart(tmp_path: Path) -> None:
    wall = VirtualWall()
    async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
        await bench.put(entry("p"), remaining=100)
        await trio.sleep(50)
        await bench.put(entry("p"), remaining=1000, by_publisher=True)
    await trio.sleep(200)
    async with open_bench(path=tmp_path / "records.db", wall=wall) as bench:
        assert bench.remaining(entry("p")) == pytest.approx(800)


@on_virtual_time
async def test_after_a_lapse_neither_an_older_entry_nor_the_same_one_comes_back() -> None:
    async with open_bench() as bench:
        expires = int(EPOCH + DAY)
        await bench.put(entry("p", seq=5, expires=expires), remaining=30)
        await trio.sleep(31)
        assert await bench.put(entry("p", seq=5, expires=expires)) == (Status.STALE, 5)
        assert await bench.put(entry("p", seq=4, expires=expires + 50)) == (Status.STALE, 5)
        assert await bench.put(entry("p", seq=5, expires=expires + 1)) == OK
        assert bench.one("SELECT count(*) FROM floors") == 0


@on_virtual_time
async def test_after_a_tombstone_lapsed_no_value_of_its_seq_comes_back() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p", b"v", seq=5))
        assert await bench.put(entry("p", None, seq=5), remaining=30) == OK
        await trio.sleep(31)
        assert await bench.put(entry("p", b"v", seq=5, expires=EPOCH + 2 * DAY)) == (Status.STALE, 5)
        assert await bench.put(entry("p", None, seq=5, expires=EPOCH + 2 * DAY)) == OK
        assert await bench.put(entry("p", b"v", seq=6)) == OK


@on_virtual_time
async def test_a_tombstone_follows_the_value_of_its_seq_that_lapsed_or_was_evicted() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p", b"v", seq=5, expires=EPOCH + 2 * DAY), remaining=30)
        await trio.sleep(31)
        assert await bench.put(entry("p", None, seq=5, expires=EPOCH + DAY)) == OK


@on_virtual_time
async def test_a_sweep_leaves_floors_and_takes_them_when_they_have_done_their_time() -> None:
    async with open_bench(StoreSettings(sweep_chunk=4)) as bench:
        for number in range(10):
            await bench.put(entry(f"p{number}", seq=5), remaining=30)
        await bench.put(a_blob(1), remaining=30)
        await trio.sleep(31)
        assert await bench.store.sweep() == 11
        assert bench.store.count() == 0
        assert bench.one("SELECT count(*) FROM floors") == 10  # a blob leaves none
        assert await bench.put(entry("p3", seq=4)) == (Status.STALE, 5)
        await trio.sleep(7 * DAY + HOUR)
        await bench.store.sweep()
        assert bench.one("SELECT count(*) FROM floors") == 0
        assert bench.books_balance()
        assert await bench.put(entry("p3", seq=4, expires=EPOCH + 9 * DAY)) == OK


@on_virtual_time
async def test_floors_live_on_over_a_restart(tmp_path: Path) -> None:
    wall = VirtualWall()
    async with open_bench(path=tmp_path / "r.db", wall=wall) as bench:
        await bench.put(entry("p", seq=5), remaining=30)
        await trio.sleep(31)
        await bench.store.sweep()
    async with open_bench(path=tmp_path / "r.db", wall=wall) as bench:
        assert await bench.put(entry("p", seq=4)) == (Status.STALE, 5)
    await trio.sleep(7 * DAY + HOUR)
    async with open_bench(path=tmp_path / "r.db", wall=wall) as bench:
        assert await bench.put(entry("p", seq=4, expires=EPOCH + 9 * DAY)) == OK


@on_virtual_time
async def test_an_evicted_entry_may_come_back_and_an_older_one_may_not() -> None:
    small = StoreSettings(shelf=replace(StoreSettings().shelf, max_entries=4, max_per_prefix=3))
    async with open_bench(small) as bench:
        for number in range(3):
            assert await bench.put(entry(f"a{number}", seq=5), prefix=A) == OK
        assert await bench.put(entry("b0", seq=5), prefix=B) == OK
        assert await bench.put(entry("b1", seq=5), prefix=B) == OK  # the newest of A, the most represented, goes
        assert not bench.held(entry("a2", seq=5))
        assert bench.store.counters.evicted == 1
        assert (await bench.put(entry("a2", seq=4), prefix=b""))[0] is Status.STALE
        earlier = entry("a2", seq=5, expires=EPOCH + DAY - 1)
        assert (await bench.put(earlier, prefix=b""))[0] is Status.STALE
        assert (await bench.put(entry("a2", seq=5), prefix=b"\x0b\x00\x01"))[0] is not Status.STALE
        assert bench.books_balance()


@on_virtual_time
async def test_at_most_eight_entries_of_a_key_come_from_one_prefix() -> None:
    async with open_bench() as bench:
        for number in range(8):
            assert await bench.put(entry(f"p{number}"), prefix=A) == OK
        assert (await bench.put(entry("p8"), prefix=A))[0] is Status.FULL
        assert await bench.put(entry("p8"), prefix=B) == OK
        assert await bench.put(entry("p3", b"newer", seq=2), prefix=A) == OK  # those that stand there may change


@on_virtual_time
async def test_one_prefix_has_its_share_of_the_floors_and_all_together_their_bound() -> None:
    async with open_bench(StoreSettings(floors=FloorSettings(max_floors=20, prefix_share=0.25))) as bench:
        for number in range(12):
            await bench.put(entry(f"a{number}", key=Key.shared(f"a{number}")), remaining=10 + number, prefix=A)
        for number in range(30):
            await bench.put(
                entry(f"b{number}", key=Key.shared(f"b{number}")), remaining=50 + number, prefix=b"\x0b\x00%c" % number
            )
        await trio.sleep(40)
        await bench.store.sweep()
        assert bench.one("SELECT count(*) FROM floors") == 5
        await trio.sleep(100)
        await bench.store.sweep()
        assert bench.one("SELECT count(*) FROM floors") == 20
        assert bench.books_balance()


@on_virtual_time
async def test_a_storing_prefix_has_its_share_of_the_bytes() -> None:
    size = 20 + StoreSettings().record_overhead
    async with open_bench(StoreSettings(max_bytes=100 * size, prefix_share=0.05)) as bench:
        answers = [(await bench.put(a_blob(number), prefix=A))[0] for number in range(7)]
        assert answers == [Status.OK] * 5 + [Status.FULL] * 2
        assert await bench.put(a_blob(8), prefix=B) == OK
        assert await bench.put(a_blob(9)) == OK  # waived
        assert bench.books_balance()


@on_virtual_time
async def test_a_renewal_needs_no_room_that_it_has_already() -> None:
    size = len(entry("p0").payload) + 64 + StoreSettings().record_overhead
    async with open_bench(StoreSettings(max_bytes=size * 40 + 9, prefix_share=0.05)) as bench:
        for number in range(2):
            assert await bench.put(entry(f"p{number}", key=Key.shared(f"{number}")), prefix=A) == OK
        assert (await bench.put(entry("p2"), prefix=A))[0] is Status.FULL
        renewed = entry("p1", key=Key.shared("1"), expires=EPOCH + DAY + 100)
        assert await bench.put(renewed, prefix=A) == OK


@on_virtual_time
async def test_the_store_never_outgrows_its_budget_and_cached_copies_go_first() -> None:
    size = 20 + StoreSettings().record_overhead
    async with open_bench(StoreSettings(max_bytes=10 * size)) as bench:
        for number in range(6):
            assert await bench.put(a_blob(number)) == OK
        for number in range(6, 10):
            assert await bench.put(a_blob(number), remaining=100 + number, cached=True) == OK
        for number in range(10, 14):
            assert await bench.put(a_blob(number)) == OK
            assert bench.one("SELECT sum(size) FROM records") <= 10 * size
        assert not any(bench.held(a_blob(number)) for number in range(6, 10))
        assert all(bench.held(a_blob(number)) for number in (*range(6), *range(10, 14)))
        assert (await bench.put(a_blob(14)))[0] is Status.FULL
        assert bench.books_balance()


@on_virtual_time
async def test_the_cached_copy_soonest_to_lapse_goes_first() -> None:
    size = 20 + StoreSettings().record_overhead
    async with open_bench(StoreSettings(max_bytes=3 * size)) as bench:
        for number, remaining in enumerate((300, 100, 200)):
            await bench.put(a_blob(number), remaining=remaining, cached=True)
        await bench.put(a_blob(9))
        bench.store._read.clear()
        assert [bench.held(a_blob(number)) for number in range(3)] == [True, False, True]


@on_virtual_time
async def test_a_cached_copy_becomes_a_record_in_earnest_and_not_the_other_way_round() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p"), remaining=100, cached=True)
        assert bench.store.get(Key.shared("x").hash)[0].cached
        await bench.put(entry("p"), remaining=500)
        assert not bench.store.get(Key.shared("x").hash)[0].cached
        assert bench.remaining(entry("p")) == pytest.approx(500)
        await bench.put(entry("p"), remaining=500, cached=True)
        assert not bench.store.get(Key.shared("x").hash)[0].cached


@on_virtual_time
async def test_a_cached_copy_that_lapses_does_not_stand_in_the_way_of_the_record() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p", seq=3), remaining=1, cached=True)
        await trio.sleep(2)
        assert await bench.put(entry("p", seq=3)) == OK
        await trio.sleep(1)
        assert (await bench.put(entry("p", seq=2)))[0] is Status.STALE


@on_virtual_time
async def test_a_copy_that_had_to_make_room_leaves_a_floor() -> None:
    async with open_bench(StoreSettings(max_bytes=2600)) as bench:
        assert await bench.put(entry("p", seq=9), cached=True) == OK
        for number in range(2):
            assert await bench.put(a_blob(number, 900)) == OK
        assert not bench.held(entry("p", seq=9))
        assert await bench.put(entry("p", seq=8)) == (Status.STALE, 9)
        assert bench.books_balance()


@on_virtual_time
async def test_a_newer_copy_makes_no_copy_of_what_is_held_in_earnest() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p", seq=1))
        assert await bench.put(entry("p", seq=2), cached=True) == OK
        assert [(held.seq, held.cached) for held in bench.store.get(Key.shared("x").hash)] == [(2, 0)]
        await bench.put(entry("q", seq=1), cached=True)
        await bench.put(entry("q", seq=2), cached=True)
        assert bench.rows("SELECT sum(cached) FROM records") == [(1,)]


@on_virtual_time
async def test_a_record_is_due_for_replication_after_an_hour_unless_somebody_stored_it_meanwhile() -> None:
    async with open_bench() as bench:
        await bench.put(a_blob(1))
        await bench.put(a_blob(2))
        await bench.put(a_blob(3), cached=True)
        await trio.sleep(0.7 * HOUR)
        assert bench.store.due_for_replication(9) == []
        await bench.put(a_blob(2))
        await trio.sleep(0.55 * HOUR)
        assert bench.store.due_for_replication(9) == [parse(a_blob(1)).key]
        await bench.store.replicated(parse(a_blob(1)).key)
        assert bench.store.due_for_replication(9) == []


@on_virtual_time
async def test_a_newer_entry_is_seen_at_once_by_who_had_read_the_older() -> None:
    async with open_bench() as bench:
        assert bench.store.get(Key.shared("x").hash) == []
        for seq in range(1, 4):
            await bench.put(entry("p", seq=seq))
            assert [held.seq for held in bench.store.get(Key.shared("x").hash)] == [seq]


@on_virtual_time
async def test_keys_of_many_bytes_are_not_kept_at_hand() -> None:
    async with open_bench(StoreSettings(read_cache_bytes=1000)) as bench:
        small, large = a_blob(1, 900), Key.shared("x").hash
        await bench.put(small)
        for number in range(2):
            await bench.put(entry(f"p{number}", bytes(450)))
        assert len(bench.store.get(large)) == 2
        assert bench.held(small)
        assert list(bench.store._read) == [parse(small).key]
