"""A seed is a run: the same bytes at the same times in any process, whatever Python's hash seed is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from kadnet.lab import Coordinates, NetworkOptions, open_world, run
from tests.scenarios.helpers import put_some, strangers_to

ROOT = Path(__file__).resolve().parents[2]


def trace(seed: int, extra_draw: bool = False) -> str:
    """The hash over all that 16 nodes send, over a network with every fault of chance, with records and deaths."""

    async def main() -> str:
        options = NetworkOptions(
            latency=Coordinates(seed), jitter=0.02, loss=0.02, duplication=0.02, reordering=0.05, bandwidth=(1e6, 4e6)
        )
        async with open_world(seed=seed, options=options) as world:
            await world.grow(16)
            if extra_draw:
                world["n3"].node.host.runtime.rng.random()
            await trio.sleep(30)  # in which they check each other at moments of their own choosing
            puts = await put_some(world, 9)
            for name in world.random_names(3):
                world.kill(name)
            for put in puts:
                for name in strangers_to(world, put)[:2]:
                    await world[name].node.get(put.key)
            books = world.internet.accounting
            assert books.sent > 1000
            assert books.duplicated > 10
            assert books.balanced
            return world.trace

    return run(main, seed=seed)


def in_a_process(hash_seed: int, seed: int, extra_draw: bool = False) -> str:
    here = "tests.scenarios.test_one_seed_gives_one_trace"
    program = f"from {here} import trace; print(trace({seed}, {extra_draw}))"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.strip()) == 64
    return ran.stdout.strip()


@pytest.mark.parametrize("seed", [7])
def test_the_same_seed_gives_the_same_trace_in_two_processes(seed: int) -> None:
    once = in_a_process(1, seed)
    assert in_a_process(2, seed) == once, f"seed {seed} gave two traces"
    assert trace(seed) == once, f"seed {seed} gave another trace in this process"


def test_another_seed_or_one_more_draw_of_chance_gives_another_trace() -> None:
    assert len({trace(7), trace(8), trace(7, extra_draw=True)}) == 3
