"""All round trips become three times as long from one moment to the next, as when a line fills up.

Every timer was learned from the old ones, so answers come late by the thousand. Hardly any of them may count as the
failure of its peer: a slot of a lookup is given away by a short timer, while the request itself stays open.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import trio

from kadnet.kademlia.rtt import NodeRtt, RttEstimate
from kadnet.lab import NetworkOptions, open_world, run
from kadnet.lab.latency import Coordinates, Place

NODES, LOOKUPS, SOON = 32, 60, 10
TIMES = 3.0


@dataclass
class Filling:
    """Real ways, all of them `times` as long."""

    ways: Coordinates
    times: float = 1.0

    @property
    def median_round_trip(self) -> float:
        return self.ways.median_round_trip * self.times

    def place(self, name: str) -> Place:
        return self.ways.place(name)

    def between(self, a: Place, b: Place) -> float:
        return self.ways.between(a, b) * self.times


def test_hardly_any_late_answer_counts_as_its_peers_failure(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    late = 0
    observe = NodeRtt.observe

    def counting(self: NodeRtt, peer: RttEstimate, sample: float) -> None:
        nonlocal late
        late += sample > self.timeout(peer)
        observe(self, peer, sample)

    async def main() -> None:
        nonlocal late
        latency = Filling(Coordinates(seed))
        async with open_world(seed=seed, options=NetworkOptions(latency=latency)) as world:
            await world.grow(NODES)
            rng = random.Random(seed)
            nodes = [each.node for each in world.nodes.values()]

            async def use(count: int) -> int:
                """Lookups and puts through all nodes in turn; returns how often a peer was said to have failed."""
                before = sum(node.host.overlay.rpc_counters.timed_out for node in nodes)
                for number in range(count):
                    node = nodes[number % NODES]
                    await node.lookup(rng.randbytes(32))
                    if number % 4 == 0:
                        await node.put(f"key {number}", b"value")
                await trio.sleep(SOON)  # what is still under way ends
                return sum(node.host.overlay.rpc_counters.timed_out for node in nodes) - before

            assert await use(LOOKUPS) == 0
            late = 0
            latency.times = TIMES
            failed = await use(LOOKUPS)
            assert late > 200, f"only {late} answers were late: this proves nothing"
            assert failed <= 0.01 * (late + failed), f"{failed} failures beside {late} late answers"

    monkeypatch.setattr(NodeRtt, "observe", counting)
    run(main, seed=seed)
