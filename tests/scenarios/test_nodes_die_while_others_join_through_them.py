"""Sixteen nodes join at the same time; the one they all know, and some of themselves, are killed in the midst of it."""

from __future__ import annotations

import trio

from kadnet.lab import LabNode, World, open_world, run
from tests.scenarios.helpers import put_some, values

OLD, NEW, VICTIMS = 6, 16, 4
MIDST = 0.6
"""Seconds: a join takes four round trips or so, and by then not one node is done."""


async def join_and_die(world: World, knowing: list[str]) -> set[bytes]:
    """Start the newcomers and kill n0 and some of them. Returns the IDs of the dead."""
    dead: set[bytes] = set()
    addresses = [world[name].address for name in knowing]

    async def die(name: str) -> None:
        await trio.sleep(world.rng.uniform(0, MIDST))
        dead.add(world[name].node.id)
        world.kill(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(die, "n0")
        for number in range(NEW):
            await world.start(f"new {number}", bootstrap=addresses)
            if number < VICTIMS:
                nursery.start_soon(die, f"new {number}")
            await trio.sleep(MIDST / NEW)
    return dead


def newcomers(world: World) -> list[LabNode]:
    return [each for name, each in world.nodes.items() if name.startswith("new ")]


async def everybody_is_in(world: World) -> None:
    """Puts reach their holders, and every newcomer finds what was put."""
    for put in await put_some(world, 6):
        assert put.replicas >= 12
        for each in newcomers(world):
            assert await values(each, put.key) == [put.value], f"{each.name} did not find {put}"


def test_who_knows_a_second_address_joins_all_the_same(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(OLD)
            await join_and_die(world, ["n0", "n1"])
            await world.all_joined(10)
            assert len(newcomers(world)) == NEW - VICTIMS
            await everybody_is_in(world)

    run(main, seed=seed)


def test_who_met_only_the_dead_has_not_joined_and_does_when_the_address_is_back(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(OLD)
            dead = await join_and_die(world, ["n0"])
            await trio.sleep(20)
            waiting = 0
            for each in newcomers(world):
                knows_the_living = any(entry.contact.id not in dead for entry in each.node.peers())
                assert each.node.host.overlay.is_joined == knows_the_living, f"{each.name} is wrong about having joined"
                waiting += not knows_the_living
            assert waiting > 0
            await world.start("n0", bootstrap=[world["n3"].address])
            await world.all_joined(62)
            await everybody_is_in(world)

    run(main, seed=seed)
