"""Upkeep carried out: each piece is counted, and one that goes wrong comes round again."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import replace

import trio

from kadnet.lab import run_until
from kadnet.overlay import OverlaySettings
from kadnet.overlay.store import StoreSettings
from kadnet.wire.keys import Key
from kadnet.wire.kinds import HOUR
from tests.unit.overlay.builders import CALM, Lab, contact_of, entry, in_lab

X = Key.shared("x")


@in_lab
async def test_each_piece_of_upkeep_is_counted(lab: Lab) -> None:
    tuning = replace(CALM, store=StoreSettings(replicate_every=HOUR))
    seed = await lab.node("seed", "10.0.0.1", tuning=tuning)
    node = await lab.node("node", "10.0.1.1", seed, tuning=tuning)
    await node.overlay.put(X, b"v", lease=8 * HOUR)
    stranger = await lab.raw("stranger", "10.1.0.1")
    await stranger.store(entry("p", key=Key.shared("y")), contact_of(seed))
    await trio.sleep(4.2 * HOUR)
    counted, by_seed = node.overlay.housekeeping.counters, seed.overlay.housekeeping.counters
    assert (counted.renewed, counted.failed) == (1, 0)
    assert 4 <= counted.refreshed <= 17
    assert by_seed.replicated >= 2
    assert by_seed.renewed == 0


@in_lab
async def test_a_disk_that_fails_for_a_while_is_counted_and_ends_nothing(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    await node.overlay.put(X, b"v", lease=1000)
    writer, counters = node.overlay._store._database._writer, node.overlay.housekeeping.counters
    writer.execute("PRAGMA query_only = ON")
    await trio.sleep(700)
    assert counters.renewed == 0
    assert counters.failed > 0
    writer.execute("PRAGMA query_only = OFF")
    await run_until(lambda: counters.renewed, 60)
    (held,) = seed.overlay._store.get(X.hash)
    assert held.lapses > trio.current_time() + 900


@in_lab
async def test_a_client_replicates_nothing(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    client = await lab.node("client", "10.0.1.1", seed, settings=OverlaySettings(reach="client"), tuning=CALM)
    await client.overlay.put(X, b"v", lease=4 * HOUR)
    await trio.sleep(3 * HOUR)
    assert (client.overlay.housekeeping.counters.renewed, client.overlay.housekeeping.counters.replicated) == (1, 0)
