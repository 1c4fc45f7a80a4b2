"""Clocks are wrong by an hour, some ahead or some behind; and a node wakes up to find that an hour has gone by.

An hour is the difference of wall clocks that records put up with, also those that live for ten minutes: how long they
live is counted by each holder's other clock, which nobody sets.
"""

from __future__ import annotations

import pytest
import trio

from kadnet.lab import World, open_world, run, run_until
from kadnet.wire.keys import Key
from tests.scenarios.helpers import values

NODES, WRONG = 18, 6
HOUR, LEASE = 3600.0, 600


async def put_short(world: World, name: str) -> Key:
    """An entry of ten minutes."""
    node = world[name].node
    outcome = await node.put(Key.owned(node.id, "note"), name.encode(), ttl=LEASE)
    assert outcome.replicas >= 12
    return outcome.key


async def all_find(world: World, key: Key, wanted: list[bytes]) -> None:
    """Half of the nodes, by chance, some of them with wrong clocks."""
    for each in (world[name] for name in world.random_names(len(world.nodes) // 2)):
        assert await values(each, key) == wanted, f"{each.name}, whose clock is {each.wall.offset:g} s off"


@pytest.mark.parametrize("hours", [1, -1])
def test_wall_clocks_jump_and_records_live_as_long_as_they_should(seed: int, hours: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            wrong = world.random_names(WRONG)
            right = [name for name in world.nodes if name not in wrong]
            before = [await put_short(world, name) for name in (wrong[0], right[0])]
            for name in wrong:
                world.jump(name, wall=hours * HOUR)
            after = [await put_short(world, name) for name in (wrong[1], right[1])]
            publishers = (wrong[0], right[0], wrong[1], right[1])
            for key, name in zip(before + after, publishers, strict=True):
                await all_find(world, key, [name.encode()])
            for name in publishers:
                world.kill(name)  # so that nobody renews
            await trio.sleep(LEASE - 90)
            for name in wrong[2:4]:
                world.jump(name, wall=-hours * HOUR)  # two are put right
            for key, name in zip(before + after, publishers, strict=True):
                await all_find(world, key, [name.encode()])
            await trio.sleep(120)
            for key in before + after:
                await all_find(world, key, [])

    run(main, seed=seed)


def test_a_node_that_slept_for_an_hour_is_in_again_at_once(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            sleeper, friend = (world[name] for name in world.random_names(2))
            key = await put_short(world, sleeper.name)
            assert (await sleeper.node.send(friend.node.id, "good night")).state == "delivered"
            known = len(sleeper.node.peers())
            world.jump(sleeper.name, monotonic=HOUR)
            await friend.node.post(sleeper.node.id, "are you there?")
            await sleeper.node.post(friend.node.id, "good morning")
            assert (await sleeper.node.put("awake", b"yes")).replicas >= 12
            await run_until(lambda: len(sleeper.node.inbox()) == 1 and len(friend.node.inbox()) == 2, 8)
            await trio.sleep(60)
            assert len(sleeper.node.peers()) == known
            assert [m.text for m in friend.node.inbox()] == ["good night", "good morning"]
            await trio.sleep(LEASE)
            await all_find(world, key, [sleeper.name.encode()])

    run(main, seed=seed)
