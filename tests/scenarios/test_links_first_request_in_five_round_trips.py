"""A request to a node never met: the walk, the connection, the handshake and the answer are five round trips at most.

With a constant round trip of 100 ms; what is over after five of them is the time of our own machine, here none.
"""

from __future__ import annotations

import pytest
import trio

from kadnet.lab import open_world, run
from tests.scenarios.helpers import ROUND_TRIP

NODES = 64
PAIRS = 24


async def echo(_peer: bytes, body: bytes) -> bytes:
    return body


def test_a_first_request_takes_five_round_trips_and_a_second_one_takes_one(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            await trio.sleep(60)
            for each in world.nodes.values():
                each.node.handle("echo", echo)
            strangers = 0
            for _ in range(PAIRS):
                one, other = (world[name].node for name in world.random_names(2))
                strangers += not one.host.overlay.seeker.known(other.id)
                linked = any(link.id == other.id for link in one.linked())
                start = world.now()
                await one.request(other.id, "echo", b"x")
                first = (world.now() - start) / ROUND_TRIP
                await one.request(other.id, "echo", b"x")
                second = (world.now() - start) / ROUND_TRIP - first
                assert first <= (1 if linked else 5) + 0.01, f"{first:.2f} round trips"
                assert second == pytest.approx(1, abs=0.01)
            assert strangers > 0, "some were not in the table"

    run(main, seed=seed)
