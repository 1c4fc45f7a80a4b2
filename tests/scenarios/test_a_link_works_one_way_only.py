"""What alice sends reaches bob; nothing that bob sends reaches alice. Everybody else hears both.

Neither can count on the other, so neither keeps the other as a contact, although bob hears alice all the time. They
find each other's records by way of the others, and what they have to say to each other waits until the link is mended.
"""

from __future__ import annotations

from functools import partial

import trio

from kadnet.lab import LabNode, open_world, run, run_until
from tests.scenarios.helpers import values

NODES = 18


def knows(one: LabNode, other: LabNode) -> bool:
    return any(entry.contact.id == other.node.id for entry in one.node.peers())


def has_mail(one: LabNode) -> bool:
    return [message.text for message in one.node.inbox()] == ["can you hear me?"]


def test_they_do_without_each_other_and_meet_again_when_it_is_mended(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES)
            two = alice, bob = [world[name] for name in world.random_names(2)]
            world.internet.cut(bob.host, alice.host, one_way=True)

            def neither_counts_on_the_other() -> bool:
                return not knows(alice, bob) and not knows(bob, alice)

            await run_until(neither_counts_on_the_other, 1800, step=1)
            for writer, reader in ((alice, bob), (bob, alice)):
                outcome = await writer.node.put(f"from {writer.name}", b"can you read this?")
                assert outcome.replicas >= 12
                start = world.now()
                assert await values(reader, outcome.key) == [b"can you read this?"]
                assert world.now() - start < 1
                assert (await writer.node.send(reader.node.id, "can you hear me?")).state == "queued"
            for _ in range(20):
                await trio.sleep(15)
                assert not knows(bob, alice), "bob hears alice, who never answers him"
            assert all(knows(each, alice) and knows(each, bob) for each in world.nodes.values() if each not in two)

            world.internet.heal(alice.host, bob.host)
            for one in (alice, bob):
                await run_until(partial(has_mail, one), 60)

    run(main, seed=seed)
