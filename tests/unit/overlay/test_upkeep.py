"""Upkeep: the machine by itself, and records that outlive their holders and their publisher."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import random
from dataclasses import replace

import trio

from kadnet.lab import run_until
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.overlay.store import StoreSettings
from kadnet.overlay.upkeep import Refresh, Renew, Replicate, Scan, Sweep, Upkeep, UpkeepSettings
from kadnet.wire.keys import Key
from kadnet.wire.kinds import HOUR
from kadnet.wire.messages import Store
from tests.unit.overlay.builders import CALM, NEVER, Lab, contact_of, entry, identity, in_lab, values

X = Key.shared("x")


def machine(**settings: float) -> Upkeep:
    return Upkeep(replace(UpkeepSettings(), **settings), random.Random(1), 0.0)  # type: ignore[arg-type]  # some are ints


# The machine.


def test_nothing_but_sweeping_is_due_before_there_are_peers() -> None:
    upkeep = machine(sweep_every=60)
    assert upkeep.advance(0.0) == ([], 60.0)
    actions, wake_at = upkeep.advance(10_000.0)
    assert actions == [Sweep()]
    assert wake_at == 10_060.0


def test_a_start_scans_at_once_and_a_scan_comes_round() -> None:
    upkeep = machine(sweep_every=NEVER, refresh_every=NEVER, scan_every=30)
    upkeep.start(5.0)
    assert upkeep.advance(5.0) == ([Scan(256)], 35.0)
    assert upkeep.advance(34.0) == ([], 35.0)
    assert upkeep.advance(35.0) == ([Scan(256)], 65.0)


def test_what_is_due_earlier_is_looked_for_earlier() -> None:
    upkeep = machine(sweep_every=NEVER, refresh_every=NEVER, scan_every=30)
    upkeep.start(0.0)
    upkeep.advance(0.0)
    upkeep.due_at(12.0)
    upkeep.due_at(20.0)
    assert upkeep.advance(1.0) == ([], 12.0)
    assert upkeep.advance(12.0) == ([Scan(256)], 42.0)


def test_work_is_done_a_few_pieces_at_a_time_and_never_twice_at_once() -> None:
    upkeep = machine(sweep_every=NEVER, refresh_every=NEVER, scan_every=NEVER, at_once=2, max_queue=4)
    upkeep.start(0.0)
    upkeep.advance(0.0)
    keys = [bytes((number,)) for number in range(6)]
    upkeep.found(keys[:1], keys[1:], 1.0)
    first, _ = upkeep.advance(1.0)
    assert first == [Renew(keys[0]), Replicate(keys[1])]
    upkeep.found(keys[:1], keys[1:], 2.0)  # under way or queued: not again
    assert upkeep.advance(2.0)[0] == []
    upkeep.ended(Renew(keys[0]), 3.0)
    assert upkeep.advance(3.0)[0] == [Replicate(keys[2])]
    upkeep.ended(Replicate(keys[1]), 4.0)
    upkeep.ended(Replicate(keys[2]), 4.0)
    assert upkeep.advance(4.0)[0] == [Replicate(keys[3]), Replicate(keys[4])]


def test_refreshing_is_spread_over_half_its_pace() -> None:
    moments = set()
    for seed in range(20):
        upkeep = Upkeep(UpkeepSettings(scan_every=NEVER, sweep_every=NEVER), random.Random(seed), 0.0)
        upkeep.start(0.0)
        upkeep.advance(0.0)
        _, wake_at = upkeep.advance(1.0)
        assert wake_at is not None
        assert 900 <= wake_at <= 1800
        assert upkeep.advance(wake_at)[0] == [Refresh(1800.0)]
        moments.add(wake_at)
    assert len(moments) == 20


# Over a network.


def pace(replicate_every: float) -> Tuning:
    return replace(CALM, store=StoreSettings(replicate_every=replicate_every))


async def outlives(lab: Lab, replicate_every: float) -> bool:
    """Whether a record is there after its publisher and, one every 90 minutes, all of its first holders have died."""
    nodes = await lab.overlay(14, tuning=pace(replicate_every), settings=OverlaySettings(replicas=3))
    await nodes[13].overlay.put(X, b"v")
    await lab.stop("n13", crash=True)
    await trio.sleep(1)
    holders = [number for number in range(13) if nodes[number].overlay._store.get(X.hash)]
    assert len(holders) == 3
    for number in holders:
        await trio.sleep(1.5 * HOUR)
        await lab.stop(f"n{number}", crash=True)
    left = next(node for number, node in enumerate(nodes[:13]) if number not in holders)
    await trio.sleep(600)
    return values(await left.overlay.get(X)) == {b"v"}


@in_lab
async def test_re_replication_keeps_a_record_whose_holders_die_one_after_the_other(lab: Lab) -> None:
    assert await outlives(lab, HOUR)


@in_lab
async def test_without_re_replication_it_is_lost(lab: Lab) -> None:
    assert not await outlives(lab, NEVER)


@in_lab
async def test_one_holder_comes_first_and_the_others_wait_another_hour(lab: Lab) -> None:
    nodes = await lab.overlay(6, tuning=pace(HOUR))
    await nodes[1].overlay.put(Key.owned(nodes[1].identity.public, "x"), b"v")
    await lab.stop("n1", crash=True)
    await trio.sleep(1300)
    stores = []
    for node in (nodes[0], *nodes[2:]):
        serve = node.overlay.rpc._hooks.serve

        def counting(request, asker, now, serve=serve):  # type: ignore[no-untyped-def]  # as the hook
            if isinstance(request, Store):
                stores.append(trio.current_time())
            serve(request, asker, now)

        object.__setattr__(node.overlay.rpc._hooks, "serve", counting)
    await trio.sleep(8 * HOUR - 1300)
    # Five holders; each hour one of them stores with the four others. If all did, it would be twenty an hour.
    assert 4 * 6 <= len(stores) <= 4 * 12


@in_lab
async def test_a_lapsed_record_leaves_the_disk_with_the_next_sweep(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    stranger = await lab.raw("stranger", "10.1.0.1")
    await stranger.store(entry("p"), contact_of(seed), remaining=30)
    assert seed.overlay.record_counts() == (1, 0)
    await trio.sleep(100)
    assert seed.overlay.record_counts() == (0, 0)
    assert seed.overlay.store_counters.lapsed == 1


@in_lab
async def test_a_quiet_bucket_is_walked_to(lab: Lab) -> None:
    """Two halves of a network that were cut from each other find each other's nodes by refreshing."""
    nodes = await lab.overlay(8, tuning=CALM)
    late = await lab.node("late", "10.1.0.1", nodes[0], tuning=CALM)
    before = nodes[3].overlay.counters.lookups
    await trio.sleep(2 * HOUR)
    assert nodes[3].overlay.counters.lookups > before
    await run_until(lambda: all(late.identity.public in [c.id for c in n.overlay.contacts()] for n in nodes), 10)
    assert identity("late").public == late.identity.public
