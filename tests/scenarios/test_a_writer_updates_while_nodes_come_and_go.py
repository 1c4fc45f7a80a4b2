"""One entry, written again and again in an overlay where a node dies every few seconds: all end on the last word."""

from __future__ import annotations

import trio

from kadnet.lab import World, open_world, run
from kadnet.wire.keys import Key

STAY = ("n0", "n1", "n2", "n3", "n4")  # the writer and four readers
VERSIONS = 12


async def churn(world: World) -> None:
    """For ever: a node dies, and after a while comes back with nothing."""
    while True:
        await trio.sleep(4)
        name = world.random_names(1, without=STAY)[0]
        world.kill(name)
        await trio.sleep(4)
        await world.start(name, bootstrap=world.seeds())


async def read(world: World, name: str, key: Key, seen: list[int]) -> None:
    """For ever: note the seq that this reader gets."""
    while True:
        entries = await world[name].node.get(key)
        seen += [entry.seq or 0 for entry in entries]
        await trio.sleep(1.5)


def test_every_reader_ends_on_the_newest_entry(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(28)
            writer, *readers = STAY
            key = Key.owned(world[writer].node.id, "status")
            seen: dict[str, list[int]] = {name: [] for name in readers}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(churn, world)
                for name in readers:
                    nursery.start_soon(read, world, name, key, seen[name])
                for version in range(1, VERSIONS + 1):
                    outcome = await world[writer].node.put(key, f"version {version}".encode())
                    assert outcome.seq == version
                    assert outcome.replicas >= 8
                    await trio.sleep(5)
                nursery.cancel_scope.cancel()
            for name, seqs in seen.items():
                assert seqs == sorted(seqs), f"{name} was shown an older entry after a newer one"
                assert seqs[-1] == VERSIONS
            for each in list(world.nodes.values()):
                found = await each.node.get(key)
                assert [entry.value for entry in found] == [f"version {VERSIONS}".encode()], f"{each.name} is behind"

    run(main, seed=seed)
