"""Rows that the disk has changed: what nobody can read any more is none, and costs neither an answer nor the node."""

from __future__ import annotations

from dataclasses import replace

import trio

from kadnet.host import Host
from kadnet.lab import run_until
from kadnet.overlay.store import StoreSettings
from kadnet.wire.keys import Key
from kadnet.wire.kinds import HOUR
from kadnet.wire.messages import Status
from tests.unit.overlay.bench import on_virtual_time, open_bench
from tests.unit.overlay.builders import CALM, Lab, contact_of, entry, in_lab, values

X, Y = Key.shared("x"), Key.shared("y")


def flip(host: Host, table: str, key: Key, *, last: bool = False) -> None:
    """A byte of a payload turns, behind the back of everybody: the first, or the last, which leaves it well-formed."""
    overlay = host.overlay
    database = overlay._store._database
    ((payload,),) = database.read(f"SELECT payload FROM {table} WHERE key = ?", (key.hash,))
    spoiled = payload[:-1] + b"!" if last else b"\xc1" + payload[1:]
    database._writer.execute(f"UPDATE {table} SET payload = ? WHERE key = ?", (spoiled, key.hash))
    overlay._store._read.clear()
    overlay._published._read.clear()


@on_virtual_time
async def test_a_store_that_meets_a_damaged_row_takes_its_place_and_counts_it() -> None:
    async with open_bench() as bench:
        await bench.put(entry("p", b"spoiled"))
        await bench.put(entry("q", b"whole"))
        bench.database._writer.execute("UPDATE records SET payload = x'c1' WHERE instr(payload, x'73706f696c6564')")
        assert bench.one("SELECT count(*) FROM records WHERE payload = x'c1'") == 1
        assert await bench.put(entry("r", b"new")) == (Status.OK, 0)
        assert bench.store.counters.damaged == 1
        assert bench.store.counters.failed == 0
        assert bench.one("SELECT count(*) FROM records") == 2
        assert bench.held(entry("q", b"whole"))
        assert await bench.put(entry("p", b"again")) == (Status.OK, 0)
        assert bench.books_balance()


@in_lab
async def test_a_holder_with_a_damaged_row_shows_the_others_and_takes_it_anew(lab: Lab) -> None:
    holder = await lab.node("holder", "10.0.0.1")
    asker = await lab.node("asker", "10.0.1.1", holder)
    writer = await lab.raw("writer", "10.1.0.1")
    await writer.store(entry("p", b"v"), contact_of(holder))
    flip(holder, "records", X)
    assert values(await holder.overlay.get(X)) == set()
    assert values(await asker.overlay.get(X)) == set()
    assert (await writer.store(entry("p", b"v"), contact_of(holder))).status == Status.OK
    assert holder.overlay.store_counters.damaged == 1
    assert values(await holder.overlay.get(X)) == values(await asker.overlay.get(X)) == {b"v"}


@in_lab
async def test_a_value_that_the_disk_has_changed_is_not_shown_by_its_own_holder(lab: Lab) -> None:
    holder = await lab.node("holder", "10.0.0.1")
    await lab.node("other", "10.0.1.1", holder)
    writer = await lab.raw("writer", "10.1.0.1")
    await writer.store(entry("p", b"true"), contact_of(holder))
    flip(holder, "records", X, last=True)
    assert values(await holder.overlay.get(X)) == set()


@in_lab
async def test_a_damaged_row_that_is_due_for_replication_ends_nothing(lab: Lab) -> None:
    tuning = replace(CALM, store=StoreSettings(replicate_every=HOUR))
    holder = await lab.node("holder", "10.0.0.1", tuning=tuning)
    other = await lab.node("other", "10.0.1.1", holder, tuning=tuning)
    writer = await lab.raw("writer", "10.1.0.1")
    for key in (X, Y):
        await writer.store(entry("p", key=key), contact_of(holder))
    flip(holder, "records", X)
    await trio.sleep(1.5 * HOUR)
    counters = holder.overlay.housekeeping.counters
    assert (counters.failed, holder.overlay.store_counters.damaged) == (0, 1)
    assert counters.replicated > 0
    assert other.overlay._store.get(Y.hash)


@in_lab
async def test_a_damaged_publication_of_ours_is_signed_anew_when_it_is_due(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    await node.overlay.put(X, b"v", lease=1000)
    for host, table in ((node, "published"), (node, "records"), (seed, "records")):
        flip(host, table, X)
    assert values(await node.overlay.get(X)) == set()
    await run_until(lambda: node.overlay.housekeeping.counters.renewed, 600)
    assert values(await node.overlay.get(X)) == values(await seed.overlay.get(X)) == {b"v"}
    flip(node, "published", X)
    assert (await node.overlay.put(X, b"w")).seq == 2
