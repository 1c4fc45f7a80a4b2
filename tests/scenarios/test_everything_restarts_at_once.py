"""A power cut takes every node; all but the bootstrap node come back, with nothing but their data folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from kadnet.lab import Timeout, World, open_world, run
from tests.scenarios.helpers import put_some, values

NODES = 12


async def everything_restarts(world: World, folders: Path) -> None:
    """Only n0, through which all had joined, stays away."""
    for name in list(world.nodes):
        world.kill(name)
    for number in range(1, NODES):
        await world.start(f"n{number}", data_dir=folders / f"n{number}")
    await world.all_joined(60)


def test_the_nodes_find_each_other_and_their_records_again(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(NODES, data_dirs=tmp_path)
            ids = {name: each.node.id for name, each in world.nodes.items()}
            puts = await put_some(world, 12)
            await trio.sleep(5)
            await everything_restarts(world, tmp_path)
            assert all(each.node.id == ids[name] for name, each in world.nodes.items())
            for put in puts:
                reader = world[world.random_names(1, without=[put.publisher])[0]]
                assert await values(reader, put.key) == [put.value], f"{reader.name} did not find {put}"

    run(main, seed=seed)


def test_without_their_data_folders_they_do_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            await world.grow(NODES, data_dirs=tmp_path / "before")
            await trio.sleep(5)
            with pytest.raises(Timeout):
                await everything_restarts(world, tmp_path / "after")

    run(main, seed=1)
