"""A peer restarts on another port while messages wait for it: it is called when it is heard, not at the next redial."""

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
