"""World W on the virtual internet: 200 whole nodes with codecs, keys and databases, and the model of the same 200.

    python -m benchmarks.figures.internet SEED [quick]

A get waits for all of the closest here, as the walks of the model do. The scenario
`tests/scenarios/test_the_model_agrees_with_the_real_stack.py` holds the two to each other with the same functions.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from benchmarks.figures.modelled import figures
from benchmarks.peers.driver import say
from kadnet.kademlia.keyspace import position
from kadnet.lab import Coordinates, NetworkOptions, World, open_world, run
from kadnet.lab.model import Plan, Report, Sample, Simulation
from kadnet.overlay import Tuning
from kadnet.wire.keys import Key

WORLD: Final = Plan(nodes=200, lookups=200, loss=0.01, stale=0.1)
TUNING: Final = replace(Tuning(), get_quorum=1.0)


def whole_nodes(plan: Plan, tuning: Tuning = TUNING) -> list[Sample]:
    """What the lookups of a plan do on whole nodes."""
    return run(partial(_whole_nodes, plan, tuning), seed=plan.seed)


def modelled(plan: Plan) -> Report:
    """The same plan on the heap."""
    return Simulation(plan, "kadnet").run(lambda *_: None)


async def _whole_nodes(plan: Plan, tuning: Tuning) -> list[Sample]:
    places = Coordinates(plan.seed)
    options = NetworkOptions(latency=places, loss=plan.loss)
    async with open_world(seed=plan.seed, options=options, tuning=tuning) as world:
        await world.grow(plan.nodes, pace=plan.pace)
        await trio.sleep(24)  # of the 120 s that the model gives them, the fifth before the first value
        keys: list[Key] = []
        async with trio.open_nursery() as nursery:
            for number in range(plan.lookups):
                nursery.start_soon(_put, world, number, keys)
                await trio.sleep(36 / plan.lookups)
        await trio.sleep(60)
        for name in world.random_names(plan.dying):
            world.kill(name)
        samples: list[Sample] = []
        async with trio.open_nursery() as nursery:
            for key in keys:
                nursery.start_soon(_look_up, world, places, key, samples)
                await trio.sleep(plan.lookup_pace)
        return samples


async def _put(world: World, number: int, keys: list[Key]) -> None:
    writer = world[world.random_names(1)[0]]
    keys.append((await writer.node.put(f"key {number}", b"value")).key)


async def _look_up(world: World, places: Coordinates, key: Key, samples: list[Sample]) -> None:
    """One get by a stranger to the key, measured as the model measures it."""
    living = list(world.nodes.values())
    holders = [each for each in living if each.holds(key)]
    asker = world.rng.choice([each for each in living if not each.holds(key)])
    place = places.place(asker.name)
    direct = min(2 * places.between(place, places.place(holder.name)) for holder in holders)
    outcome = await asker.node.fetch(key)
    walk = outcome.walk
    assert walk is not None
    ids = {holder.node.id for holder in holders}
    came = [(query.started + query.rtt, query.hop) for query in walk.trace if query.contact.id in ids and query.rtt]
    first, hops = min(came, default=(None, None))
    target = int.from_bytes(key.hash, "big")
    nearest = sorted((position(each.node.id) for each in living if each is not asker), key=target.__xor__)[:16]
    met = {contact.position for contact in walk.closest}
    recall = len(met & set(nearest)) / len(nearest)
    samples.append(Sample(first, direct, outcome.seconds, walk.queries, hops, recall))


def main(seed: int, *, quick: bool) -> None:
    """Run both and say what came of it."""
    plan = replace(WORLD, seed=seed)
    if quick:
        plan = replace(plan, nodes=40, lookups=20)
    theirs = modelled(plan)
    ours = replace(theirs, samples=tuple(whole_nodes(plan)))
    for side, report in (("kadnet", ours), ("model", theirs)):
        say({"row": "internet", "side": side, "repeat": seed, "figures": figures(report)})


if __name__ == "__main__":
    main(int(sys.argv[1]), quick="quick" in sys.argv[2:])
