"""Two nodes send each other a message at the same moment: both arrive, and one link is left."""

from __future__ import annotations

import pytest
import trio

from kadnet.lab import Constant, NetworkOptions, open_world, run
from kadnet.node import Node


def links_between(one: Node, other: Node) -> list[int]:
    return [link.links for link in one.linked() if link.id == other.id]


@pytest.mark.parametrize("milliseconds", [10, 40, 70, 100, 145])
def test_both_messages_arrive_and_one_link_is_left(seed: int, milliseconds: int) -> None:
    async def main() -> None:
        options = NetworkOptions(latency=Constant(milliseconds / 1000))
        async with open_world(seed=seed, options=options) as world:
            await world.grow(6)
            alice, bob = world["n2"].node, world["n5"].node
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.send, bob.id, "to Bob")
                nursery.start_soon(bob.send, alice.id, "to Alice")
            await trio.sleep(5)
            assert [message.text for message in bob.inbox()] == ["to Bob"]
            assert [message.text for message in alice.inbox()] == ["to Alice"]
            assert links_between(alice, bob) == [1]
            assert links_between(bob, alice) == [1]
            assert alice.status().links == bob.status().links == 1

    run(main, seed=seed)
