"""What it means to have joined: somebody answered the walk home."""

from __future__ import annotations

import trio

from kadnet.lab import LabNode, PacketEvent, World, open_world, run, run_until


class OnlyTheFirst:
    """A filter: of all that `talker` sends to `listener` only the first datagram arrives."""

    def __init__(self, talker: str, listener: str) -> None:
        self.ends = (talker, listener)
        self.passed = 0

    def __call__(self, packet: PacketEvent) -> bool:
        if (packet.source.host, packet.target.host) != self.ends:
            return True
        self.passed += 1
        return self.passed == 1


async def newcomer_whose_door_falls_silent(world: World) -> LabNode:
    """It has met n0, whose PONG came, and walks home by asking n0, which is not heard any more."""
    await world.grow(2)
    host = "20.9.9.1"
    world.internet.filters.append(OnlyTheFirst(world["n0"].address.host, host))
    return await world.start("new", bootstrap=[world["n0"].address], address=host)


def test_a_node_that_met_somebody_but_found_nobody_has_not_joined() -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            newcomer = await newcomer_whose_door_falls_silent(world)
            await trio.sleep(30)
            assert len(newcomer.node.peers()) == 1
            assert not newcomer.node.host.overlay.is_joined
            world.internet.filters.clear()
            await run_until(lambda: newcomer.node.host.overlay.is_joined, 62)

    run(main, seed=1)


def test_who_is_met_while_the_walk_goes_on_sets_off_another_at_its_end() -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            newcomer = await newcomer_whose_door_falls_silent(world)
            await run_until(lambda: newcomer.node.peers(), 1)
            await trio.sleep(0.1)  # the walk is under way, and will not be answered
            assert await world["n1"].node.ping(newcomer.address)
            await run_until(lambda: newcomer.node.host.overlay.is_joined, 5)

    run(main, seed=1)
