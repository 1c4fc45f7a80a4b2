"""A tenth of all datagrams vanishes, so that of five requests one gets no answer: joining, puts and gets go on.

Every put reaches nearly all of its holders, because what is lost is sent again.
"""

from __future__ import annotations

import trio

from kadnet.lab import NetworkOptions, open_world, run
from tests.scenarios.helpers import holds, put_some, strangers_to, values

NODES, RECORDS, READERS = 28, 18, 4
SLOW = 1.5
"""Seconds: fifteen round trips, and far less than who waits for a lost answer in vain."""


def test_nodes_join_and_records_are_stored_and_found(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, options=NetworkOptions(loss=0.1)) as world:
            await world.grow(NODES, timeout=60)
            puts = await put_some(world, RECORDS)
            await trio.sleep(5)
            stored = sum(holds(each, put.key) for put in puts for each in world.nodes.values()) / (16 * RECORDS)
            assert stored > 0.95, f"only {stored:.0%} of the copies were stored"
            for put in puts:
                assert put.replicas >= 12
                for name in world.rng.sample(strangers_to(world, put), READERS):
                    start = world.now()
                    assert await values(world[name], put.key) == [put.value], f"{name} did not find {put}"
                    assert world.now() - start < SLOW, f"{name} waited {world.now() - start:.2f} s for {put}"
            books = world.internet.accounting
            assert 0.08 < books.lost / books.sent < 0.12

    run(main, seed=seed)
