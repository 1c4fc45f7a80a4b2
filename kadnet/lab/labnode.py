"""A node of a world, and the machine it stands on: what a test looks at, and what it breaks.

Left out: starting and ending it (`kadnet.lab.world`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import trio

from kadnet.identity.address import Address
from kadnet.lab.clocks import VirtualClock, VirtualWall
from kadnet.lab.disk import VirtualDisk
from kadnet.lab.host import VirtualNetwork
from kadnet.node import Node
from kadnet.wire.keys import Key

_LISTED = 8  # names in a complaint: enough to see the pattern, and one line


def listed(names: Collection[str]) -> str:
    """Names for a person, the first few of them."""
    first = ", ".join(list(names)[:_LISTED])
    return f"{first} and {len(names) - _LISTED} more" if len(names) > _LISTED else first or "none"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node stands on: its place in the network, its two clocks, its disk."""

    host: VirtualNetwork
    wall: VirtualWall = field(default_factory=VirtualWall)
    clock: VirtualClock = field(default_factory=VirtualClock)
    disk: VirtualDisk = field(default_factory=VirtualDisk)


class LabNode:
    """A running node and its machine.

    `address` is what others may take as a bootstrap address; of a node behind a NAT box only those behind it too.
    """

    def __init__(self, name: str, node: Node, machine: Machine) -> None:
        self.name = name
        self.node = node
        self.host = machine.host
        self.wall = machine.wall
        self.clock = machine.clock
        self.disk = machine.disk
        self._leave = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope()

    @property
    def address(self) -> Address:
        return self.node.address

    def holds(self, key: Key | str) -> bool:
        """Whether it has a live record under `key` in its own store, so that its get would prove nothing."""
        return bool(self.node.host.overlay._store.get(self.node.key(key).hash))

    def __repr__(self) -> str:
        return f"<LabNode {self.name} {self.address.host}>"
