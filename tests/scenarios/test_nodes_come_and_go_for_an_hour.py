"""Churn: sessions of chance length, twenty minutes on average, and an hour of it. What is kept up stays there.

Leases are short, so that a record outlives the hour only because its publisher renews it. Who asks is whoever is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from kadnet.lab import World, open_world, run
from kadnet.overlay import Tuning
from kadnet.wire.keys import Key
from tests.scenarios.helpers import calm, values

NODES, PUBLISHERS, RECORDS, READERS = 20, 3, 6, 3
HOUR, SESSION, AWAY = 3600.0, 1200.0, 120.0
LEASE = 900
LOOK = 180.0


@dataclass(slots=True)
class Deaths:
    count: int = 0


def tuning() -> Tuning:
    usual = calm(20)
    return replace(usual, upkeep=replace(usual.upkeep, scan_every=60.0, sweep_every=300.0))


async def come_and_go(world: World, name: str, deaths: Deaths) -> None:
    """One node for ever: there for a while, killed, away for a while, back with nothing."""
    while True:
        await trio.sleep(world.rng.expovariate(1 / SESSION))
        world.kill(name)
        deaths.count += 1
        await trio.sleep(world.rng.expovariate(1 / AWAY))
        await world.start(name, bootstrap=world.seeds())


async def read_all(world: World, puts: dict[Key, bytes]) -> None:
    """Every record, each by some who have joined; who is killed meanwhile has nothing to say."""
    there = [name for name, each in world.nodes.items() if each.node.host.overlay.is_joined]
    for key, value in puts.items():
        for name in world.rng.sample(there, READERS):
            node = world.nodes.get(name)
            found = None
            with trio.move_on_after(20):
                found = await values(node, key) if node is not None else None
            if node is not None and world.nodes.get(name) is node:
                assert found == [value], f"{name} did not find {value!r} at {world.now():.0f} s"


def test_what_is_renewed_is_found_all_the_time(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, tuning=tuning()) as world:
            await world.grow(NODES)
            stay = world.random_names(PUBLISHERS)
            deaths = Deaths()
            puts: dict[Key, bytes] = {}
            for number in range(RECORDS):
                node, value = world[stay[number % PUBLISHERS]].node, f"value {number}".encode()
                key = Key.owned(node.id, "mine") if number < PUBLISHERS else node.key(f"ours {number}")
                assert (await node.put(key, value, ttl=LEASE)).replicas >= 12
                puts[key] = value
            async with trio.open_nursery() as nursery:
                for name in world.nodes:
                    if name not in stay:
                        nursery.start_soon(come_and_go, world, name, deaths)
                for _ in range(int(HOUR / LOOK)):
                    await trio.sleep(LOOK)
                    await read_all(world, puts)
                nursery.cancel_scope.cancel()
            assert deaths.count > NODES

    run(main, seed=seed)
