"""The store's books: whatever is stored, lapses or is evicted, the sums are right and the bounds hold."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import replace

import trio
from hypothesis import given
from hypothesis import strategies as st

from kadnet.lab import EPOCH, run
from kadnet.overlay.floors import FloorSettings
from kadnet.overlay.store import StoreSettings
from kadnet.wire.keys import Key
from kadnet.wire.messages import Status
from kadnet.wire.records import Record, parse
from tests.unit.overlay.bench import Bench, open_bench
from tests.unit.overlay.builders import a_blob, entry

PREFIXES = (b"", b"\x0a\x00\x01", b"\x0a\x00\x02", b"\x20\x01\x0d\xb8\x00\x01")
ENTRIES = {
    (who, name, seq, expires, tombstone): entry(
        f"w{who}",
        None if tombstone else b"v" * (seq * 40),
        key=Key.shared(f"k{name}"),
        seq=seq,
        expires=EPOCH + expires,
    )
    for who in range(4)
    for name in range(2)
    for seq in range(1, 4)
    for expires in (5000, 6000)
    for tombstone in (False, True)
}
SMALL = StoreSettings(
    max_bytes=6000,
    prefix_share=0.5,
    floors=FloorSettings(max_floors=4, prefix_share=0.5),
    sweep_chunk=2,
    read_cache=3,
    shelf=replace(StoreSettings().shelf, max_entries=3, max_per_prefix=2),
)

records = st.one_of(st.sampled_from(sorted(ENTRIES)).map(ENTRIES.__getitem__), st.integers(0, 9).map(a_blob))
few_records = st.sampled_from(
    [ENTRIES[0, 0, seq, expires, gone] for seq in (1, 2) for expires in (5000, 6000) for gone in (False, True)]
)


def steps_with(some: st.SearchStrategy[Record]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.one_of(
        st.tuples(st.just("put"), some, st.integers(1, 300), st.sampled_from(PREFIXES), st.booleans(), st.booleans()),
        st.tuples(st.just("wait"), st.floats(0.1, 200)),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("read"), some),
    )


@given(st.lists(steps_with(records), min_size=8, max_size=60))
def test_the_books_balance_and_the_bounds_hold_after_any_history(history: list[tuple[object, ...]]) -> None:
    async def main() -> None:
        async with open_bench(SMALL) as bench:
            for step in history:
                await do(bench, step)
                assert bench.books_balance()
                assert bench.one("SELECT coalesce(sum(size), 0) FROM records") <= SMALL.max_bytes
                assert bench.one("SELECT count(*) FROM floors") <= SMALL.floors.max_floors
                for prefix, size in bench.rows("SELECT prefix, sum(size) FROM records GROUP BY prefix"):
                    assert not prefix or size <= SMALL.max_bytes * SMALL.prefix_share
                for prefix, count in bench.rows("SELECT prefix, count(*) FROM floors GROUP BY prefix"):
                    assert not prefix or count <= SMALL.floors.max_floors * SMALL.floors.prefix_share

    run(main)


@given(st.lists(steps_with(few_records), min_size=8, max_size=60))
def test_what_was_seen_never_comes_back_older_or_with_another_life_than_its_publisher_gave_it(
    history: list[tuple[object, ...]],
) -> None:
    """With room for every floor: per entry, rank never falls, and the same bytes lapse when they were first said to.

    Unless the publisher itself stored them again: then later, where that is later.
    """
    roomy = StoreSettings(read_cache=3)

    async def main() -> None:
        async with open_bench(roomy) as bench:
            newest: dict[tuple[bytes, bytes], tuple[int, bool, int, bytes]] = {}
            lapses: dict[Record, float] = {}
            for step in history:
                if step[0] == "put" and step[4]:
                    continue  # cached copies have their own rules
                await do(bench, step)
                if step[0] == "put" and step[5]:
                    assert isinstance(step[1], Record)
                    assert isinstance(step[2], int)
                    lapses[step[1]] = max(lapses.get(step[1], 0.0), trio.current_time() + step[2])
                for name in range(2):
                    for held in bench.store.get(Key.shared(f"k{name}").hash):
                        parsed = parse(held.record)
                        place = parsed.key, parsed.publisher
                        assert parsed.rank >= newest.get(place, parsed.rank)
                        newest[place] = parsed.rank
                        assert held.lapses == lapses.setdefault(held.record, held.lapses)

    run(main)


async def do(bench: Bench, step: tuple[object, ...]) -> None:
    kind, *rest = step
    if kind == "put":
        record, remaining, prefix, cached, by_publisher = rest
        assert isinstance(record, Record)
        assert isinstance(prefix, bytes)
        assert isinstance(remaining, int)
        status, _ = await bench.put(record, remaining, prefix, cached=bool(cached), by_publisher=bool(by_publisher))
        assert status in (Status.OK, Status.STALE, Status.FULL)
        assert (status is Status.OK) <= bench.held(record)
    elif kind == "wait":
        await trio.sleep(float(str(rest[0])))
    elif kind == "sweep":
        await bench.store.sweep()
    else:
        assert isinstance(rest[0], Record)
        bench.store.get(parse(rest[0]).key)
