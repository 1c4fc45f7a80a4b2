"""Five in a hundred datagrams vanish, some of the answers among them: nobody who uses the overlay can tell."""

from __future__ import annotations

from kadnet.lab import NetworkOptions, open_world, run
from tests.scenarios.helpers import put_some, strangers_to, values


def test_puts_and_gets_succeed(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, options=NetworkOptions(loss=0.05)) as world:
            await world.grow(32)
            puts = await put_some(world, 24)
            few = [put.replicas for put in puts if put.replicas < 12]
            assert not few, f"of 16 holders some records have {few}"
            for put in puts:
                for name in world.rng.sample(strangers_to(world, put), 4):
                    assert await values(world[name], put.key) == [put.value], f"{name} did not find {put}"
            books = world.internet.accounting
            assert 0.03 < books.lost / books.sent < 0.07

    run(main, seed=seed)
