"""The two nodes nearest to a target have just died, and every table still has them: a lookup hardly notices.

It is over within the short timer that it waits for them and two round trips. A lookup starts with three requests, so
two dead ones nearest to the target take two of its three slots.
"""

from __future__ import annotations

from kadnet.kademlia.keyspace import position
from kadnet.lab import open_world, run
from tests.scenarios.helpers import ROUND_TRIP

NODES, TARGETS = 40, 5


def test_a_lookup_is_over_within_the_short_timer_and_two_round_trips(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            asker = world["n0"]
            rpc = asker.node.host.overlay.rpc
            for _ in range(TARGETS):
                target = world.rng.randbytes(32)
                number = int.from_bytes(target, "big")
                nearest = sorted(
                    (each for each in world.nodes.values() if each is not asker),
                    key=lambda each: position(each.node.id) ^ number,
                )
                await asker.node.lookup(target)
                silent = [each.node.id for each in nearest[:2]]
                for each in nearest[:2]:
                    world.kill(each.name)
                start = world.now()
                outcome = await asker.node.lookup(target)
                took = world.now() - start
                asked = {query.contact.id: query.contact for query in outcome.trace}
                assert all(id in asked for id in silent), "who was killed was not even asked"
                timer = max(rpc.timeout(asked[id]) for id in silent)
                assert took <= timer + 2 * ROUND_TRIP + 0.001, f"{took:.3f} s with a timer of {timer:.3f} s"
                found = [contact.id for contact in outcome.closest]
                assert found[:10] == [each.node.id for each in nearest[2:12]]

    run(main, seed=seed)
