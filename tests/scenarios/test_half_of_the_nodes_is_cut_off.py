"""The network splits in two; each half goes on by itself; when it is healed there is one overlay again."""

from __future__ import annotations

import trio

from kadnet.lab import LabNode, World, open_world, run, run_until
from tests.scenarios.helpers import calm, put_some, values

NODES = 24


def split(world: World) -> tuple[list[LabNode], list[LabNode]]:
    """Cut every wire between two halves that chance picks."""
    names = world.random_names(NODES)
    here, there = ([world[name] for name in half] for half in (names[: NODES // 2], names[NODES // 2 :]))
    for a in here:
        for b in there:
            world.internet.cut(a.host, b.host)
    return here, there


def heal(world: World, here: list[LabNode], there: list[LabNode]) -> None:
    for a in here:
        for b in there:
            world.internet.heal(a.host, b.host)


def knows_some(each: LabNode, others: list[LabNode]) -> bool:
    ids = {other.node.id for other in others}
    return any(entry.contact.id in ids for entry in each.node.peers())


async def everybody_sees_both(world: World) -> bool:
    found = [await values(each, each.node.key("split")) for each in world.nodes.values()]
    return all(sorted(each) == [b"here", b"there"] for each in found)


def test_both_halves_go_on_and_see_each_other_when_healed(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            await trio.sleep(30)
            before = await put_some(world, 9, "before")
            here, there = split(world)
            for half, what in ((here, b"here"), (there, b"there")):
                assert (await half[0].node.put("split", what)).replicas > 0
                for put in before:  # sixteen copies lie in both halves
                    assert put.value in await values(half[-1], put.key), f"{half[-1].name} has lost {put}"
            await trio.sleep(60)
            ours = here[0].node.key("split")
            assert await values(here[-1], ours) == [b"here"]
            assert await values(there[-1], ours) == [b"there"]
            heal(world, here, there)
            await trio.sleep(120)
            assert await everybody_sees_both(world)

    run(main, seed=seed)


def test_a_split_that_lasted_until_both_halves_had_forgotten_each_other_is_healed(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, tuning=calm(10)) as world:
            await world.grow(NODES)
            here, there = split(world)
            for half, what in ((here, b"here"), (there, b"there")):
                await half[0].node.put("split", what)

            def nobody_knows_the_other_half() -> bool:
                pairs = [(each, there) for each in here] + [(each, here) for each in there]
                return not any(knows_some(each, others) for each, others in pairs)

            def everybody_knows_the_other_half() -> bool:
                return all(knows_some(each, there) for each in here)

            await run_until(nobody_knows_the_other_half, 12 * 3600, step=60)
            heal(world, here, there)
            await run_until(everybody_knows_the_other_half, 2 * 3600, step=60)
            assert await everybody_sees_both(world)

    run(main, seed=seed)
