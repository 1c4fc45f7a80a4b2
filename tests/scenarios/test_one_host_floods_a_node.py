"""One hostile host: five thousand datagrams of noise and five thousand honest-looking requests, each by a new ID.

What it may cost is bounded by where it comes from: IDs are free, its address is not.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from kadnet.identity.address import Endpoint
from kadnet.identity.keys import Identity
from kadnet.lab import LabNode, World, open_world, run
from kadnet.overlay import Tuning
from kadnet.overlay.peers import PeerSettings
from kadnet.wire.messages import PADDED, SERVES, FindNode, encode_padded
from kadnet.wire.packets import MAGIC, SEALED, Channel
from tests.scenarios.helpers import put_some, values

AMOUNT, AT_ONCE, PAUSE = 5000, 50, 0.1  # a thousand datagrams a second, for ten seconds
BOUNDS = PeerSettings(max_asked=200, max_strangers=64)


def noise(rng: random.Random) -> bytes:
    """Anything; half of it with the two bytes in front that a sealed datagram has."""
    data = rng.randbytes(rng.randrange(1, 1200))
    return bytes((MAGIC, SEALED)) + data if rng.random() < 0.5 else data


def request(rng: random.Random, target: LabNode) -> bytes:
    """A well-formed FIND_NODE of a node nobody has met, sealed for its target."""
    channel = Channel(Identity.from_seed(rng.randbytes(32)), target.node.id)
    message = encode_padded(FindNode(rng.randbytes(8), SERVES, b"", rng.randbytes(32)), PADDED)
    return channel.seal(message, rng.randbytes(24))


async def flood(world: World, target: LabNode) -> None:
    rng = random.Random(f"mallory {world.seed}")
    mallory = world.internet.host("mallory", ["66.6.6.6"])
    port = await mallory.datagrams(Endpoint("66.6.6.6", 0))
    to = Endpoint(target.address.host, target.address.port)
    for _ in range(AMOUNT // AT_ONCE):
        for _ in range(AT_ONCE):
            port.send(noise(rng), to)
            port.send(request(rng, target), to)
        await trio.sleep(PAUSE)
    await port.aclose()


def test_it_serves_on_and_everything_it_keeps_is_bounded(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    agreements: list[bytes] = []
    agree = Identity.agree

    def counted(self: Identity, their_public: bytes) -> bytes:
        agreements.append(self.public)
        return agree(self, their_public)

    monkeypatch.setattr(Identity, "agree", counted)

    async def main() -> None:
        async with open_world(seed=seed, tuning=replace(Tuning(), peers=BOUNDS)) as world:
            await world.grow(16)
            target = world["n5"]
            overlay = target.node.host.overlay
            rpc, counters = overlay.rpc, overlay.rpc_counters
            puts = await put_some(world, 6)
            agreements.clear()
            start = world.now()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, world, target)
                for put in puts:  # from the target and through it, while the flood is on
                    assert await values(target, put.key) == [put.value]
                    assert (await world["n9"].node.ping(target.node.id)).rtt < 0.2
                    await trio.sleep(1)
            seconds = world.now() - start

            cost, dropped = agreements.count(target.node.id), counters.dropped
            assert 50 <= cost <= 100 + 20 * seconds + 16, f"{cost} key agreements in {seconds:.0f} s"
            assert dropped["budget"] >= AMOUNT - cost
            assert dropped["magic"] + dropped["length"] + dropped["tag"] >= AMOUNT * 0.9
            assert rpc.open_calls < 100
            assert len(rpc._peers) <= BOUNDS.max_asked + BOUNDS.max_strangers
            assert len(rpc._peers._strangers) <= BOUNDS.max_strangers
            assert len(target.node.peers()) <= 15, "nobody who never answered stands in a table"
            before = counters.datagrams_out
            await trio.sleep(60)
            assert counters.datagrams_out - before < 1000, "and when it is over, it is over"

    run(main, seed=seed)
