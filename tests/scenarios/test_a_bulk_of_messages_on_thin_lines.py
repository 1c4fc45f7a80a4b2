"""Every node has a line of 256 kbit/s up and 2 Mbit/s down, and one of them sends a third of a megabyte of messages.

The line is full for a dozen seconds. Nothing is lost by that, and the node takes part in the overlay all the while.
"""

from __future__ import annotations

import trio

from kadnet.lab import NetworkOptions, open_world, run
from tests.scenarios.helpers import put_some, values

NODES, MESSAGES, SIZE = 12, 24, 14_000
UP, DOWN = 32_000.0, 256_000.0


def test_all_of_them_arrive_and_the_sender_still_answers(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, options=NetworkOptions(bandwidth=(UP, DOWN))) as world:
            await world.grow(NODES)
            puts = await put_some(world, 6)
            alice, bob, carol = (world[name] for name in world.random_names(3))
            lines = [f"{number} ".ljust(SIZE, "x") for number in range(MESSAGES)]
            start = world.now()
            for line in lines:
                await alice.node.post(bob.node.id, line)
            while alice.node.outbox():
                assert world.now() - start < 2 * MESSAGES * SIZE / UP, "half of the line is for them at least"
                asked = world.now()
                assert (await carol.node.ping(alice.node.id)).rtt < 1
                for put in puts:
                    assert await values(alice, put.key) == [put.value]
                assert world.now() - asked < 1 + len(puts)
                await trio.sleep(0.5)
            assert [message.text for message in bob.node.inbox()] == lines

    run(main, seed=seed)
