"""Six nodes talk while chance kills and restarts them and splits their network: every message comes, once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import trio

from kadnet.lab import World, open_world, run, run_until

NODES = 6
ROUNDS = 40


async def trouble(world: World, folders: Path) -> None:
    """Something happens to somebody: death and return, or a split and its end."""
    name = world.random_names(1)[0]
    match world.rng.randrange(3):
        case 0:
            world.kill(name)
            await trio.sleep(world.rng.uniform(0, 5))
            await world.start(name, data_dir=folders / name, bootstrap=world.seeds())
        case 1:
            await world.stop(name)
            await world.start(name, data_dir=folders / name, bootstrap=world.seeds())
        case 2:
            host, others = world[name].host, [each.host for each in world.nodes.values() if each.name != name]
            for other in others:
                world.internet.cut(host, other)
            await trio.sleep(world.rng.uniform(0, 60))
            for other in others:
                world.internet.heal(host, other)


def test_every_message_arrives_exactly_once(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES, data_dirs=tmp_path)
            ids = {name: each.node.id for name, each in world.nodes.items()}
            sent: dict[tuple[str, str], list[str]] = {}
            async with trio.open_nursery() as nursery:
                for number in range(ROUNDS):
                    speaker, listener = world.random_names(2)
                    text = f"message {number}"
                    await world[speaker].node.post(ids[listener], text)
                    sent.setdefault((speaker, listener), []).append(text)
                    if number % 4 == 3 and len(nursery.child_tasks) == 0:
                        nursery.start_soon(trouble, world, tmp_path)
                    await trio.sleep(world.rng.uniform(0, 1))
                    await run_until(lambda: len(world.nodes) == NODES, 120)

            def everything_is_delivered() -> bool:
                return not any(each.node.outbox() for each in world.nodes.values())

            await run_until(everything_is_delivered, 120)
            for (speaker, listener), texts in sent.items():
                inbox = world[listener].node.inbox()
                from_speaker = [message.text for message in inbox if message.sender == ids[speaker]]
                assert from_speaker == texts, f"{speaker} to {listener}"
            numbers = Counter(message.text for each in world.nodes.values() for message in each.node.inbox())
            assert numbers.most_common(1)[0][1] == 1
            assert sum(numbers.values()) == ROUNDS

    run(main, seed=seed)
