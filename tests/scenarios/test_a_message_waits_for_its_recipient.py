"""The recipient is away. Its messages wait in the sender's outbox, through a death of the sender, and come once."""

from __future__ import annotations

from pathlib import Path

import trio

from kadnet.lab import World, open_world, run, run_until

LINES = ["one", "two", "three"]


def texts(world: World, name: str) -> list[str]:
    return [message.text for message in world[name].node.inbox()]


def test_messages_to_a_dead_node_arrive_once_and_in_order_after_it_is_back(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(8, data_dirs=tmp_path)
            bob = world["n7"].node.id
            world.kill("n7")
            receipts = [await world["n2"].node.send(bob, line) for line in LINES]
            assert {receipt.state for receipt in receipts} == {"queued"}
            await trio.sleep(120)
            await world.start("n7", data_dir=tmp_path / "n7", bootstrap=world.seeds())
            # 30 s to the next try at the latest, and far sooner when the sender hears of it.
            await run_until(lambda: texts(world, "n7") == LINES, 35)
            await run_until(lambda: not world["n2"].node.outbox(), 5)
            await trio.sleep(60)
            assert texts(world, "n7") == LINES

    run(main, seed=seed)


def test_a_sender_that_dies_with_a_full_outbox_sends_it_when_it_is_back(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(8, data_dirs=tmp_path)
            bob = world["n7"].node.id
            await world.stop("n7")
            for line in LINES:
                await world["n2"].node.post(bob, line)
            world.kill("n2")
            await world.start("n7", data_dir=tmp_path / "n7", bootstrap=world.seeds())
            await trio.sleep(60)
            assert texts(world, "n7") == []
            await world.start("n2", data_dir=tmp_path / "n2", bootstrap=world.seeds())
            await run_until(lambda: texts(world, "n7") == LINES, 35)

    run(main, seed=seed)
