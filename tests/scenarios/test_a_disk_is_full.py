"""Disks fill up: of two holders, of somebody who publishes, of one who is written to. Later there is room again."""

from __future__ import annotations

import pytest
import trio

from kadnet.errors import StorageFailed
from kadnet.kademlia.keyspace import position
from kadnet.lab import LabNode, World, open_world, run, run_until
from kadnet.overlay import OverlaySettings
from kadnet.wire.keys import Key
from tests.scenarios.helpers import values

NODES, REPLICAS, FULL = 20, 6, 2
ENOUGH = 5
"""Three quarters of the replicas: with so many a put returns."""


def closest(world: World, key: Key) -> list[LabNode]:
    """The nodes whose copies of a key are wanted."""
    place = int.from_bytes(key.hash, "big")
    return sorted(world.nodes.values(), key=lambda each: position(each.node.id) ^ place)[:REPLICAS]


def refusals(holders: list[LabNode]) -> list[int]:
    return [each.node.host.overlay.store_counters.failed for each in holders]


def test_holders_without_room_refuse_and_serve_what_they_have_and_take_part_again_when_there_is_room(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, overlay=OverlaySettings(replicas=REPLICAS)) as world:
            await world.grow(NODES)
            await trio.sleep(20)
            old, key = b"before", Key.shared("news")
            holders = closest(world, key)
            full = world.rng.sample(holders, FULL)
            publisher, reader = [each.node for each in world.nodes.values() if each not in holders][:2]
            assert (await publisher.put(key, old)).replicas >= ENOUGH
            await trio.sleep(1)
            assert all(each.holds(key) for each in holders)
            for each in full:
                each.disk.fill()
            outcome = await publisher.put(key, b"after")
            assert outcome.replicas >= ENOUGH
            await trio.sleep(1)
            assert refusals(full) == [1] * FULL
            others = [each for each in world.nodes.values() if each not in full]
            assert sum(each.holds(key) for each in others) >= REPLICAS, "the next closest took the place of the full"
            assert await values(full[0], key) == [b"after"]
            for each in world.nodes.values():
                assert await values(each, key) == [b"after"], f"{each.name} found something else"
            assert (await reader.ping(full[0].node.id)).rtt < 1
            for each in full:
                each.disk.mend()
            assert (await publisher.put(key, b"at last")).replicas >= ENOUGH
            await trio.sleep(1)
            assert refusals(full) == [1] * FULL
            assert all(each.holds(key) for each in full)

    run(main, seed=seed)


def test_who_has_no_room_is_told_so_and_reads_on(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(8)
            alice, bob = (world[name] for name in world.random_names(2))
            key = (await bob.node.put("color", b"blue")).key
            alice.disk.fill()
            with pytest.raises(StorageFailed) as caught:
                await alice.node.put("shape", b"round")
            assert "\n" not in str(caught.value)
            with pytest.raises(StorageFailed):
                await alice.node.send(bob.node.id, "is anybody there?")
            assert await values(alice, key) == [b"blue"]
            receipt = await bob.node.send(alice.node.id, "do you have room?")
            assert receipt.state == "queued", "what is not on the receiver's disk is not delivered"
            await trio.sleep(60)
            assert alice.node.inbox() == []

            alice.disk.mend()
            await run_until(lambda: [message.text for message in alice.node.inbox()] == ["do you have room?"], 60)
            await run_until(lambda: not bob.node.outbox(), 5)
            assert (await alice.node.put("shape", b"round")).replicas == 7
            assert (await alice.node.send(bob.node.id, "yes")).state == "delivered"

    run(main, seed=seed)
