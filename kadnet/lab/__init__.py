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

from kadnet.lab.books import Accounting, Fate, PacketEvent, Trace
from kadnet.lab.clocks import EPOCH, VirtualClock, VirtualWall
from kadnet.lab.determinism import Determinism, NotDeterministic, deterministic
from kadnet.lab.disk import VirtualDisk
from kadnet.lab.host import VirtualNetwork
from kadnet.lab.labnode import LabNode
from kadnet.lab.latency import Constant, Coordinates, Latency, Matrix, Place
from kadnet.lab.nat import NatBox, NatOptions
from kadnet.lab.network import VirtualInternet, virtual_internet
from kadnet.lab.options import NetworkOptions
from kadnet.lab.run import Entropy, Timeout, replay_line, run, run_until, virtual_runtime
from kadnet.lab.sockets import VirtualDatagrams, VirtualListener
from kadnet.lab.stream import VirtualStream
from kadnet.lab.world import World, open_world

__all__ = [
    "EPOCH",
    "Accounting",
    "Constant",
    "Coordinates",
    "Determinism",
    "Entropy",
    "Fate",
    "LabNode",
    "Latency",
    "Matrix",
    "NatBox",
    "NatOptions",
    "NetworkOptions",
    "NotDeterministic",
    "PacketEvent",
    "Place",
    "Timeout",
    "Trace",
    "VirtualClock",
    "VirtualDatagrams",
    "VirtualDisk",
    "VirtualInternet",
    "VirtualListener",
    "VirtualNetwork",
    "VirtualStream",
    "VirtualWall",
    "World",
    "deterministic",
    "open_world",
    "replay_line",
    "run",
    "run_until",
    "virtual_internet",
    "virtual_runtime",
]
