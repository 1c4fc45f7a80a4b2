"""The address everybody joined through goes dark; the overlay does not notice."""

from __future__ import annotations

from kadnet.lab import open_world, run, run_until
from tests.scenarios.helpers import put_some, values


def test_the_overlay_lives_on_and_takes_in_newcomers_through_anybody(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            first = await world.start("first")
            for number in range(15):
                await world.start(f"m{number}", bootstrap=[first.address])
            await world.all_joined()
            before = await put_some(world, 12, "before")
            world.kill("first")

            after = await put_some(world, 12, "after")
            late = await world.start("late", bootstrap=[world["m7"].address])
            await run_until(lambda: late.node.host.overlay.is_joined, 10)
            for put in before + after:
                reader = late if put.key.kind % 2 else world[world.random_names(1)[0]]
                assert await values(reader, put.key) == [put.value], f"{reader.name} did not find {put}"

            def everybody_has_forgotten_the_dead() -> bool:
                known = (entry.contact.id for each in world.nodes.values() for entry in each.node.peers())
                return first.node.id not in known

            await run_until(everybody_has_forgotten_the_dead, 1800, step=1)

    run(main, seed=seed)
