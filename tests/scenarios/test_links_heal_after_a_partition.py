"""Nodes that talk are cut off from each other for two minutes; afterwards they talk again, over one link each."""

from __future__ import annotations

from itertools import permutations

import pytest
import trio

from kadnet.errors import PeerUnreachable
from kadnet.lab import LabNode, open_world, run


async def echo(_peer: bytes, body: bytes) -> bytes:
    return body


async def all_talk(nodes: list[LabNode]) -> None:
    async with trio.open_nursery() as nursery:
        for one, other in permutations(nodes, 2):
            nursery.start_soon(one.node.request, other.node.id, "echo", b"x")


def test_they_talk_again_over_one_link_each(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(8)
            four = [world[name] for name in world.random_names(4)]
            for each in four:
                each.node.handle("echo", echo)
            await all_talk(four)
            cut_off = four[0]
            for other in four[1:]:
                world.internet.cut(cut_off.host, other.host)
            with pytest.raises(PeerUnreachable):
                await cut_off.node.request(four[1].node.id, "echo", b"x")
            await trio.sleep(120)
            assert not [link for link in cut_off.node.linked() if link.id in {each.node.id for each in four}]
            for other in four[1:]:
                world.internet.heal(cut_off.host, other.host)
            await trio.sleep(30)
            with trio.fail_after(20):
                await all_talk(four)
            await trio.sleep(10)
            for each in four:
                among = [link.links for link in each.node.linked() if link.id in {one.node.id for one in four}]
                assert among == [1, 1, 1]

    run(main, seed=seed)
