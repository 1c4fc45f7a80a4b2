"""Peers that do not answer, or late, on the virtual internet: 64 whole nodes, in virtual time.

    python -m benchmarks.figures.stragglers SIDE SEED [quick]

*silent*: nobody hears the α − 1 nodes nearest to a target; a lookup of the k closest by somebody else. Its bound is
that asker's short timer (the longer one for the silent) and two round trips, which are all alike here; the lookup that
comes nearest to its bound, or is furthest above it, counts. *apart*: the same where round trips differ as in the other
worlds; there two round trips are twice the median of that asker's to all others. The control "patient" has one timer of
2 s for everybody, as textbook Kademlia has. *threefold*: all ways become three times as long at once, while everybody
looks up on. Nothing is lost and nobody dies, so whoever is given up is misjudged; by all requests whose first timer ran
out, each of which would be a failure without a second one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

import trio

from benchmarks.figures.reading import plain
from benchmarks.peers.driver import say
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position
from kadnet.kademlia.rtt import RtoSettings
from kadnet.lab import Constant, Coordinates, LabNode, NetworkOptions, PacketEvent, World, open_world, run
from kadnet.lab.latency import Latency, Place
from kadnet.lab.model import quantile
from kadnet.overlay import Tuning

NODES: Final = 64
LOOKUPS: Final = 40
ROUND_TRIP: Final = 0.112
"""Seconds: the median of the other worlds."""
FACTOR: Final = 3.0
TUNINGS: Final[Mapping[str, Tuning]] = MappingProxyType(
    {
        "kadnet": Tuning(),
        "patient": replace(Tuning(), rto=RtoSettings(initial=2.0, floor=2.0, ceiling=2.0)),
    }
)


class Stretched:
    """Another model of latencies, all ways `factor` times as long."""

    def __init__(self, inner: Latency) -> None:
        self._inner = inner
        self.factor = 1.0

    @property
    def median_round_trip(self) -> float:
        return self.factor * self._inner.median_round_trip

    def place(self, name: str) -> Place:
        return self._inner.place(name)

    def between(self, a: Place, b: Place) -> float:
        return self.factor * self._inner.between(a, b)


async def silent(tuning: Tuning, latency: Latency, seed: int, count: int) -> dict[str, float]:
    """Lookups beside silent nodes: seconds, what the bound is, and the worst of one by the other."""
    async with open_world(seed=seed, options=NetworkOptions(latency=latency), tuning=tuning) as world:
        await world.grow(NODES)
        await trio.sleep(30)
        found = [await _beside_silent(world, latency, tuning.lookup.parallelism - 1) for _ in range(count)]
    times, bounds = zip(*found, strict=True)
    worst = max(time / bound for time, bound in found)
    return {"slowest_s": max(times), "p50_s": quantile(times, 0.5), "bound_s": quantile(bounds, 0.5), "worst": worst}


async def _beside_silent(world: World, latency: Latency, count: int) -> tuple[float, float]:
    """Seconds of a lookup, and its bound."""
    id = world.rng.randbytes(32)
    target = int.from_bytes(id, "big")
    living = sorted(world.nodes.values(), key=lambda each: position(each.node.id) ^ target)
    mute = living[:count]
    asker = world.rng.choice(living[count:])
    rpc = asker.node.host.overlay.rpc
    short = max(rpc.timeout(_contact(each)) for each in mute)
    unheard = _unheard(mute)
    world.internet.filters.append(unheard)
    began = world.now()
    await asker.node.lookup(id)
    world.internet.filters.remove(unheard)
    return world.now() - began, short + 2 * _round_trip(latency, asker, living)


def _round_trip(latency: Latency, asker: LabNode, nodes: list[LabNode]) -> float:
    """Seconds there and back between one node and the median of the others."""
    here = latency.place(asker.name)
    return quantile((2 * latency.between(here, latency.place(each.name)) for each in nodes if each is not asker), 0.5)


def _contact(of: LabNode) -> Contact:
    endpoint = of.address.endpoint
    assert endpoint is not None, "its address is an ID alone"
    return Contact(of.node.id, endpoint)


def _unheard(mute: list[LabNode]) -> Callable[[PacketEvent], bool]:
    hosts = {each.address.host for each in mute}
    return lambda packet: packet.source.host not in hosts


async def threefold(tuning: Tuning, seed: int, lookups: int) -> dict[str, float]:
    """Who is given up while all ways are three times as long, of those late for their first timer; per cent."""
    places = Stretched(Coordinates(seed))
    async with open_world(seed=seed, options=NetworkOptions(latency=places), tuning=tuning) as world:
        await world.grow(NODES)
        await _looking_up(world, lookups)
        late, misjudged = _counts(world)
        places.factor = FACTOR
        await _looking_up(world, lookups)
        late_now, misjudged_now = _counts(world)
    late, misjudged = late_now - late, misjudged_now - misjudged
    return {"misjudged": 100 * misjudged / max(1, late), "late": late}


async def _looking_up(world: World, count: int) -> None:
    """A lookup by somebody every 100 ms, of anything."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_any(world).node.lookup, world.rng.randbytes(32))
            await trio.sleep(0.1)


def _counts(world: World) -> tuple[int, int]:
    """Requests that were sent once more, and requests given up."""
    counters = [each.node.host.overlay.rpc.counters for each in world.nodes.values()]
    return sum(each.retransmitted for each in counters), sum(each.timed_out for each in counters)


def _any(world: World) -> LabNode:
    return world.rng.choice(list(world.nodes.values()))


def main(side: str, seed: int, *, quick: bool) -> None:
    """Measure and say what came of it."""
    tuning = TUNINGS[side]
    worlds: dict[str, Latency] = {"silent": Constant(ROUND_TRIP / 2), "apart": Coordinates(seed)}
    for row, latency in worlds.items():
        found = run(partial(silent, tuning, latency, seed, 5 if quick else LOOKUPS), seed=seed)
        if side != "kadnet":
            del found["worst"], found["bound_s"]  # by timers of its own, which are no goal
        say({"row": row, "side": side, "repeat": seed, "figures": plain(found)})
    if side == "kadnet":
        found = run(partial(threefold, tuning, seed, 20 if quick else 300), seed=seed)
        say({"row": "threefold", "side": side, "repeat": seed, "figures": plain(found)})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), quick="quick" in sys.argv[3:])
