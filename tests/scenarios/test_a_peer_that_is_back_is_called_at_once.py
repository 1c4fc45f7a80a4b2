"""A peer restarts while messages wait for it: it is called when it is heard, not at the next redial."""

from __future__ import annotations

from pathlib import Path

import trio

from kadnet.lab import open_world, run, run_until
from tests.scenarios.helpers import ROUND_TRIP


def test_what_waits_is_delivered_a_few_round_trips_after_the_recipient_is_heard(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(6, data_dirs=tmp_path)
            alice, bob = world["n1"].node, world["n5"].node.id
            await alice.send(bob, "a link stands")
            await trio.sleep(20)
            await world.stop("n5")
            await trio.sleep(1)
            await alice.post(bob, "are you back?")
            await trio.sleep(40)  # by now every pause has grown to half a minute
            await world.start("n5", data_dir=tmp_path / "n5", bootstrap=world.seeds(), address="30.0.0.1")

            def is_heard() -> bool:
                return any(contact.endpoint.host == "30.0.0.1" for contact in alice.host.overlay.seeker.known(bob))

            await run_until(is_heard, 60)
            heard = world.now()
            await run_until(lambda: not alice.outbox(), 60)
            assert world.now() - heard <= 8 * ROUND_TRIP

    run(main, seed=seed)


def test_nor_does_who_is_back_where_it_was_before_anybody_missed_it_there(seed: int, tmp_path: Path) -> None:
    """Two nodes. Nothing changes in the sender's table, which keeps its last contact whatever it does."""

    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(2, data_dirs=tmp_path)
            alice, bob = world["n0"].node, world["n1"].node.id
            for away in (20.0, 45.0, 80.0):
                await world.stop("n1")
                await trio.sleep(1)
                await alice.post(bob, "are you back?")
                await trio.sleep(away)
                await world.start("n1", data_dir=tmp_path / "n1", bootstrap=world.seeds())
                back = world.now()
                await run_until(lambda: not alice.outbox(), 60)
                assert world.now() - back <= 8 * ROUND_TRIP

    run(main, seed=seed)
