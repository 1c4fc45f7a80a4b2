"""A flash crowd: all who do not hold a key ask for it at the same instant, again and again.

Four nodes hold it. Each get asks each of them once, so none serves more requests than there are gets: there is no
second round for those who were late, and nobody is asked by detours.
"""

from __future__ import annotations

import trio

from kadnet.lab import NetworkOptions, World, open_world, run
from kadnet.overlay import OverlaySettings
from kadnet.wire.keys import Key
from tests.scenarios.helpers import ROUND_TRIP, holds, values

NODES, HOLDERS, ROUNDS = 32, 4, 3
BESIDE = 6
"""Requests that a node may serve beside the crowd's meanwhile: checks by its neighbours, seldom more than one."""


def served(world: World) -> dict[str, int]:
    return {name: each.node.host.overlay.rpc_counters.requests_served for name, each in world.nodes.items()}


async def crowd(world: World, names: list[str], key: Key, value: bytes) -> float:
    """Everybody gets the key at once; the round trips that the slowest took."""
    start = world.now()
    slowest = 0.0

    async def one(name: str) -> None:
        nonlocal slowest
        assert await values(world[name], key) == [value], f"{name} got something else"
        slowest = max(slowest, world.now() - start)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name)
    return slowest / ROUND_TRIP


def test_everybody_gets_it_and_no_holder_serves_more_requests_than_there_are_gets(seed: int) -> None:
    async def main() -> None:
        settings = OverlaySettings(replicas=HOLDERS)
        async with open_world(seed=seed, options=NetworkOptions(jitter=0.03), overlay=settings) as world:
            await world.grow(NODES)
            await trio.sleep(15)
            publisher = world[world.random_names(1)[0]].node
            key = Key.owned(publisher.id, "news")
            for number in range(ROUNDS):
                value = f"edition {number}".encode()
                assert (await publisher.put(key, value)).replicas >= 0.75 * HOLDERS
                await trio.sleep(1)
                names = [n for n, each in world.nodes.items() if not holds(each, key) and each.node is not publisher]
                assert len(names) >= NODES - HOLDERS - 2
                before = served(world)
                took = await crowd(world, names, key, value)
                counts = {name: count - before[name] for name, count in served(world).items()}
                assert took <= 5, f"the slowest took {took:.1f} round trips"
                assert max(counts.values()) <= len(names) + BESIDE, f"{max(counts.values())} for {len(names)} gets"
                await trio.sleep(1)

    run(main, seed=seed)
