"""A thousand connections that say nothing, and as many that say nonsense, while a node answers its peers."""

from __future__ import annotations

import random

import trio

from kadnet.identity.address import Endpoint
from kadnet.lab import LabNode, World, open_world, run
from tests.scenarios.helpers import put_some, values

CROWD, AT_ONCE = 1000, 50


async def echo(_peer: bytes, body: bytes) -> bytes:
    return body


async def crowd(world: World, target: LabNode) -> None:
    """From a hundred subnets; every second one speaks, and none makes sense."""
    rng = random.Random(f"crowd {world.seed}")
    hosts = [world.internet.host(f"m{number}", [f"66.6.{number}.6"]) for number in range(100)]
    to = Endpoint(target.address.host, target.address.port)

    async def one(number: int) -> None:
        stream = await hosts[number % 100].connect(to)
        if number % 2:
            try:
                await stream.send_all(rng.choice((b"KDN1\x01\x00\x00\x00\x00", rng.randbytes(500), b"GET / HTTP/1.1")))
            except trio.BrokenResourceError:
                pass
        await trio.sleep_forever()

    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(CROWD):
                nursery.start_soon(one, number)
                if number % AT_ONCE == 0:
                    await trio.sleep(0.5)


def test_it_serves_on_with_few_places_for_them_all(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(12)
            target = world["n5"]
            target.node.handle("echo", echo)
            links = target.node.host.links
            puts = await put_some(world, 6)
            most = 0

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, len(links._gate))
                    await trio.sleep(0.01)

            async with trio.open_nursery() as watching:
                watching.start_soon(watch)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(crowd, world, target)
                    for put, name in zip(puts, world.random_names(6, without=["n5"]), strict=True):
                        await trio.sleep(1.5)
                        assert await values(target, put.key) == [put.value]
                        start = world.now()
                        assert await world[name].node.request(target.node.id, "echo", b"x") == b"x"
                        assert world.now() - start < 0.6
                watching.cancel_scope.cancel()
            assert 32 < most <= 64
            await trio.sleep(10)
            assert len(links._gate) == 0
            assert links.counters.refused.total == CROWD
            assert links.counters.displaced > CROWD // 4
            assert target.node.status().links <= 6

    run(main, seed=seed)
