"""Sixty-four nodes, thirteen of them dead at one blow: every record is still found, and found fast."""

from __future__ import annotations

from collections import Counter

import trio

from kadnet.lab import World, open_world, run
from tests.scenarios.helpers import ROUND_TRIP, Put, put_some, strangers_to

NODES, DEAD, RECORDS, READERS = 64, 13, 36, 5


async def get_them_all(world: World, puts: list[Put]) -> list[float]:
    """Each record from nodes that do not hold it: the round trips that each get took."""
    took = []
    for put in puts:
        for name in world.rng.sample(strangers_to(world, put), READERS):
            start = world.now()
            found = await world[name].node.get(put.key)
            took.append((world.now() - start) / ROUND_TRIP)
            assert [entry.value for entry in found] == [put.value], f"{name} did not find {put}"
    return took


def test_every_get_succeeds_within_six_round_trips(seed: int) -> None:
    async def main() -> list[float]:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            await trio.sleep(30)  # a quiet half minute, in which the nodes check each other
            puts = await put_some(world, RECORDS)
            assert all(put.replicas >= 12 for put in puts)
            for name in world.random_names(DEAD):
                world.kill(name)
            return await get_them_all(world, puts)

    took = run(main, seed=seed)
    assert len(took) == RECORDS * READERS
    distribution = sorted(Counter(round(each, 1) for each in took).items())
    assert max(took) <= 6.0001, f"seed {seed}: gets by round trips: {distribution}"
