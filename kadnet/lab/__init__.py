"""A virtual internet on virtual time, for testing what is built on kadnet. Public, like the library itself.

    async def main() -> None:
        async with open_world(seed=7) as world:
            await world.grow(20)
            alice = await world.start("alice", bootstrap=world.seeds())
            ...

    run(main, seed=7)

Nothing here touches the machine: no socket, no thread, no clock. One seed gives one run.
"""

from __future__ import annotations

from kadnet.lab.determinism import Determinism, NotDeterministic, deterministic
from kadnet.lab.host import VirtualNetwork
from kadnet.lab.network import (
    Accounting,
    Fate,
    NetworkOptions,
    PacketEvent,
    Trace,
    VirtualInternet,
    virtual_internet,
)
from kadnet.lab.run import EPOCH, Entropy, Timeout, VirtualWall, run, run_until, virtual_runtime
from kadnet.lab.sockets import VirtualDatagrams, VirtualListener
from kadnet.lab.stream import VirtualStream
from kadnet.lab.world import LabNode, World, open_world

__all__ = [
    "EPOCH",
    "Accounting",
    "Determinism",
    "Entropy",
    "Fate",
    "LabNode",
    "NetworkOptions",
    "NotDeterministic",
    "PacketEvent",
    "Timeout",
    "Trace",
    "VirtualDatagrams",
    "VirtualInternet",
    "VirtualListener",
    "VirtualNetwork",
    "VirtualStream",
    "VirtualWall",
    "World",
    "deterministic",
    "open_world",
    "run",
    "run_until",
    "virtual_internet",
    "virtual_runtime",
]
