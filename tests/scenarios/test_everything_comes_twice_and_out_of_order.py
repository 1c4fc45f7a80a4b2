"""Every datagram comes twice and in any order: records are what was put last, messages come once, as they were sent."""

from __future__ import annotations

import trio

from kadnet.lab import NetworkOptions, World, open_world, run, run_until
from kadnet.wire.keys import Key
from tests.scenarios.helpers import values

NODES, RECORDS, VERSIONS, LINES = 17, 6, 5, 20
UNTIDY = NetworkOptions(duplication=1.0, reordering=1.0, reorder_by=0.2, jitter=0.02)
"""A way takes 50 to 270 ms, each datagram another one."""


async def write_and_read(world: World) -> None:
    """One entry is written again and again, while two others read it."""
    writer, *readers = (world[name] for name in world.random_names(3))
    key = Key.owned(writer.node.id, "status")
    seen: dict[str, list[int]] = {each.name: [] for each in readers}
    for version in range(1, VERSIONS + 1):
        outcome = await writer.node.put(key, f"version {version}".encode())
        assert outcome.seq == version
        assert 12 <= outcome.replicas <= 16
        for each in readers:
            seen[each.name] += [entry.seq or 0 for entry in await each.node.get(key)]
    assert all(seqs == list(range(1, VERSIONS + 1)) for seqs in seen.values()), seen


def test_records_are_right_and_messages_come_once_and_in_order(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed, options=UNTIDY) as world:
            await world.grow(NODES)
            for number in range(RECORDS):
                publisher, *readers = (world[name] for name in world.random_names(3))
                outcome = await publisher.node.put(f"name {number}", b"value %d" % number)
                holders = sum(each.holds(outcome.key) for each in world.nodes.values())
                assert 12 <= outcome.replicas <= holders, "each holder has acknowledged it once"
                for each in readers:
                    assert await values(each, outcome.key) == [b"value %d" % number]
            await write_and_read(world)

            alice, bob = (world[name].node for name in world.random_names(2))
            lines = [f"line {number}" for number in range(LINES)]
            for line in lines:
                await alice.post(bob.id, line)
            await run_until(lambda: not alice.outbox(), 30)
            await trio.sleep(5)
            assert [message.text for message in bob.inbox()] == lines
            for each in world.nodes.values():
                counters = each.node.host.overlay.rpc_counters
                assert counters.answers_received <= counters.requests_sent, "an answer counts once"
                assert counters.timed_out == 0, "and whoever gave it lives"
            books = world.internet.accounting
            assert books.duplicated == books.sent

    run(main, seed=seed)
