"""Two nodes behind a NAT box of each kind: outwards everything works, and inwards what cannot work fails cleanly.

There are no relays yet. Who is behind a box can be reached over a link that it has opened itself, and no other way.
"""

from __future__ import annotations

import pytest
import trio

from kadnet.errors import PeerUnreachable
from kadnet.lab import LabNode, World, open_world, run, run_until
from kadnet.lab.nat import KINDS
from tests.scenarios.helpers import put_some, values

OUTSIDE, BEHIND = 14, 2


async def echo(_peer: bytes, body: bytes) -> bytes:
    return body


async def settle_behind(world: World, kind: str) -> list[LabNode]:
    """Nodes behind a new box, which have joined."""
    box = world.internet.nat("box", "90.0.0.1", kind)
    inside = [await world.start(f"in {number}", bootstrap=world.seeds(), behind=box) for number in range(BEHIND)]
    await world.all_joined(20)
    return inside


@pytest.mark.parametrize("kind", KINDS)
def test_outwards_all_works_and_inwards_only_what_was_opened_from_inside(seed: int, kind: str) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(OUTSIDE)
            before = await put_some(world, 6)
            friend, stranger = (world[name] for name in world.random_names(2))
            inside = await settle_behind(world, kind)
            for each in inside:
                each.node.handle("echo", echo)
                for put in before:
                    assert await values(each, put.key) == [put.value], f"{each.name} did not find {put}"
                outcome = await each.node.put(f"from {each.name}", b"hello")
                assert outcome.replicas >= min(OUTSIDE - 1, 12)
                assert await values(friend, outcome.key) == await values(stranger, outcome.key) == [b"hello"]
                assert (await each.node.send(friend.node.id, f"it is {each.name}")).state == "delivered"
                assert await friend.node.request(each.node.id, "echo", b"x") == b"x", "over the link from inside"

            hidden = inside[0].node
            with trio.fail_after(10), pytest.raises(PeerUnreachable):
                await stranger.node.request(hidden.id, "echo", b"x")
            assert (await stranger.node.send(hidden.id, "let me in")).state == "queued"
            assert (await hidden.send(stranger.node.id, "come in")).state == "delivered"
            await run_until(lambda: [message.text for message in hidden.inbox()] == ["let me in"], 40)

    run(main, seed=seed)


def test_a_box_that_forgets_everything_holds_nobody_up(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(OUTSIDE)
            inside = await settle_behind(world, world.rng.choice(list(KINDS)))
            await trio.sleep(30)
            assert inside[0].host.box is not None
            inside[0].host.box.restart()
            for each in inside:
                start = world.now()
                outcome = await each.node.put(f"from {each.name}", b"still here")
                assert outcome.replicas >= min(OUTSIDE - 1, 12)
                assert world.now() - start < 2
                for other in world.nodes.values():
                    assert await values(other, outcome.key) == [b"still here"]

    run(main, seed=seed)
