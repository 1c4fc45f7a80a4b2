"""The publisher goes home; in a day every node is replaced, twice. Its blobs live seven days, and have to be there."""

from __future__ import annotations

from dataclasses import replace

import trio

from kadnet.kademlia.keyspace import position
from kadnet.lab import World, open_world, run
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.wire.keys import Key
from tests.scenarios.helpers import calm, values

NODES, BLOBS, DAY = 16, 8, 24 * 3600
NEVER = 10 * DAY


def tuning(replicate_every: float) -> Tuning:
    usual = calm(60)
    return replace(
        usual,
        store=replace(usual.store, replicate_every=replicate_every),
        upkeep=replace(usual.upkeep, refresh_every=4 * 3600.0, scan_every=300.0, sweep_every=1800.0),
    )


async def a_day_later(seed: int, replicate_every: float) -> int:
    """How many of the blobs a newcomer gets when nobody is left of those who were there."""
    settings = OverlaySettings(replicas=4)
    async with open_world(seed=seed, overlay=settings, tuning=tuning(replicate_every)) as world:
        await world.grow(NODES)
        publisher = await world.start("publisher", bootstrap=world.seeds())
        await publisher.node.joined()
        blobs = [f"blob {number}".encode() for number in range(BLOBS)]
        for blob in blobs:
            assert (await publisher.node.put_blob(blob)).replicas >= 3
        await trio.sleep(5)  # the last copies
        await world.stop("publisher")
        witnesses = {each.node.id for each in world.nodes.values()}
        await replace_everybody_twice(world)
        assert not witnesses & {each.node.id for each in world.nodes.values()}
        reader = await world.start("reader", bootstrap=world.seeds())
        await reader.node.joined()
        return sum([blob in await values(reader, Key.blob_of(blob)) for blob in blobs])


async def replace_everybody_twice(world: World) -> None:
    """Always the oldest dies and a new one comes, evenly over a day."""
    for number in range(2 * NODES):
        world.kill(next(iter(world.nodes)))
        await world.start(f"later {number}", bootstrap=world.seeds())
        await trio.sleep(DAY / (2 * NODES))


def test_holders_hand_the_blobs_on(seed: int) -> None:
    found = run(lambda: a_day_later(seed, 3600.0), seed=seed)
    assert found == BLOBS, f"seed {seed}: {BLOBS - found} of {BLOBS} blobs are lost"


def test_without_replication_they_are_lost() -> None:
    assert run(lambda: a_day_later(1, NEVER), seed=1) == 0


def test_a_record_is_held_by_the_four_closest_after_a_day_of_changes() -> None:
    """What keeps a get short: copies are not only somewhere, they are where a walk looks first."""

    async def main() -> None:
        settings = OverlaySettings(replicas=4)
        async with open_world(seed=2, overlay=settings, tuning=tuning(3600.0)) as world:
            await world.grow(NODES)
            outcome = await world["n0"].node.put_blob(b"well kept")
            await world.stop("n0")
            await replace_everybody_twice(world)
            await trio.sleep(2 * 3600)
            place = int.from_bytes(outcome.key.hash, "big")
            closest = sorted(world.nodes.values(), key=lambda each: position(each.node.id) ^ place)[:4]
            held = [each.name for each in closest if each.node.host.overlay._store.get(outcome.key.hash)]
            assert len(held) == 4

    run(main, seed=2)
