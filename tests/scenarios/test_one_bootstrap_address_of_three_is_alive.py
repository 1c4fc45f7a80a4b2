"""A list of three addresses: nobody's, a name nobody knows, and one where a node lives."""

from __future__ import annotations

import pytest

from kadnet.lab import open_world, run, run_until
from tests.scenarios.helpers import values

NOBODY, UNKNOWN = "20.200.0.1:7420", "seed.example:7420"


def test_a_node_joins_through_the_one_that_lives_and_says_what_is_wrong_with_the_others(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(12)
            host, port = world["n5"].address.host, world["n5"].address.port
            late = await world.start("late", bootstrap=[NOBODY, UNKNOWN, f"{host}:{port}"])
            took = await run_until(lambda: late.node.host.overlay.is_joined, 10)
            assert took < 3, "a dead address must not hold up a living one"
            await run_until(lambda: len(late.node.peers()) == 12, 60)
            await run_until(lambda: late.node.host.overlay._bootstrap.first_round.is_set(), 10)

            problems = {state.address: state.problem for state in late.node.status().bootstrap}
            assert problems[f"{host}:{port}"] is None
            assert "no answer" in (problems[NOBODY] or "")
            assert "seed.example" in (problems[UNKNOWN] or "")

            assert (await late.node.put("hello", b"from late")).replicas > 0
            assert await values(world["n1"], late.node.key("hello")) == [b"from late"]

    run(main, seed=seed)


def test_a_node_whose_bootstrap_comes_up_late_joins_then(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            early = await world.start("early", bootstrap=["20.99.0.1:7420"])
            with pytest.raises(AssertionError, match="not true"):
                await run_until(lambda: early.node.host.overlay.is_joined, 200)
            await world.start("seed", address="20.99.0.1")
            took = await world.all_joined(120)
            assert took <= 62, f"it is tried again at least every minute, not after {took} s"

    run(main, seed=seed)
