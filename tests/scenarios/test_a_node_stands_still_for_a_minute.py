"""A process is stopped (SIGSTOP) for a minute and goes on: to the others it was away, to itself no time has passed."""

from __future__ import annotations

import trio

from kadnet.lab import LabNode, World, open_world, run, run_until
from kadnet.wire.keys import Key
from tests.scenarios.helpers import ROUND_TRIP, Put, put_some, values

NODES, MINUTE = 18, 60.0


async def all_get(world: World, put: Put, sleeper: LabNode) -> None:
    """Everybody else gets a record at once, and nobody waits for the one who does not answer."""

    async def one(name: str) -> None:
        start = world.now()
        assert await values(world[name], put.key) == [put.value], f"{name} did not find {put}"
        assert world.now() - start <= 6 * ROUND_TRIP, f"{name} waited {world.now() - start:.2f} s"

    async with trio.open_nursery() as nursery:
        for name in world.nodes:
            if name != sleeper.name:
                nursery.start_soon(one, name)


def test_the_others_go_on_without_it_and_it_goes_on_where_it_was(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            await trio.sleep(20)
            puts = await put_some(world, 6)
            sleeper, friend, reader = (world[name] for name in world.random_names(3))
            mine = Key.owned(sleeper.node.id, "mine")
            await sleeper.node.put(mine, b"one")
            assert (await friend.node.send(sleeper.node.id, "before")).state == "delivered"

            world.pause(sleeper.name)
            before = sleeper.node.host.overlay.rpc_counters.requests_served
            receipt = await friend.node.send(sleeper.node.id, "meanwhile")
            assert receipt.state == "queued"
            paused_at = world.now()
            for put in puts:
                await all_get(world, put, sleeper)
            assert await values(reader, mine) == [b"one"]
            await trio.sleep(MINUTE - (world.now() - paused_at))
            assert sleeper.node.host.overlay.rpc_counters.requests_served == before

            world.resume(sleeper.name)
            assert (await sleeper.node.put(mine, b"two")).replicas >= 12
            await run_until(lambda: [m.text for m in sleeper.node.inbox()] == ["before", "meanwhile"], 40)
            assert await values(reader, mine) == [b"two"]
            for put in puts:
                assert await values(sleeper, put.key) == [put.value]
            await trio.sleep(60)
            assert len(sleeper.node.peers()) >= NODES - 2

    run(main, seed=seed)
