"""What scenarios share: their seeds, records of every kind put by many nodes, and who has which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kadnet.lab import LabNode, World
from kadnet.overlay import Tuning
from kadnet.wire.keys import Key

ROUND_TRIP: Final = 0.1
"""Seconds there and back with the lab's own one-way latency."""


@dataclass(frozen=True, slots=True)
class Put:
    """One record that was put: where it lies, what it says, who published it, how many copies were acknowledged."""

    key: Key
    value: bytes
    publisher: str
    replicas: int


def calm(factor: float) -> Tuning:
    """Nodes that check each other `factor` times more seldom, so that hours of an overlay cost the test seconds."""
    tuning = Tuning()
    usual = tuning.table.revalidation
    revalidation = replace(usual, fast_interval=usual.fast_interval * factor)
    return replace(tuning, table=replace(tuning.table, revalidation=revalidation))


async def put_some(world: World, count: int, what: str = "value") -> list[Put]:
    """`count` records, blobs, owned and shared in turn, each through a node that chance picks."""
    done = []
    for number in range(count):
        lab_node = world[world.random_names(1)[0]]
        node, value = lab_node.node, f"{what} {number}".encode()
        if number % 3 == 0:
            outcome = await node.put_blob(value)
        elif number % 3 == 1:
            outcome = await node.put(Key.owned(node.id, f"my {what} {number}"), value)
        else:
            outcome = await node.put(f"our {what} {number}", value)
        done.append(Put(outcome.key, value, lab_node.name, outcome.replicas))
    return done


async def values(lab_node: LabNode, key: Key) -> list[bytes]:
    """What this node gets under a key."""
    return [entry.value for entry in await lab_node.node.get(key)]


def holds(lab_node: LabNode, key: Key) -> bool:
    """Whether a node has a copy itself, so that its get would prove nothing about the overlay."""
    return bool(lab_node.node.host.overlay._store.get(key.hash))


def strangers_to(world: World, put: Put) -> list[str]:
    """The living nodes that neither hold nor published a record."""
    return [each.name for each in world.nodes.values() if each.name != put.publisher and not holds(each, put.key)]
