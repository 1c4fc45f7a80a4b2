"""What the machine gives a node: clocks, chance, entropy, a thread, the network, the disk under its databases.

A Host is given exactly one `Runtime`, and nothing else in the house touches a clock, randomness, a thread or a
socket. That is the whole seam: in a node it is `real_runtime()`, in the lab it is a virtual machine on a virtual
internet, and the code between cannot tell them apart.

Left out: other files (a data directory is a real one in both worlds) and signals (the daemon's business).
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from kadnet.transport import Network, RealNetwork, TransportSettings

T = TypeVar("T")


class Offload(Protocol):
    """Run blocking or heavy work off the loop and wait for its result; what it raises is raised here."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """The machine as a node sees it.

    `now`: seconds of trio's clock, monotonic, the unit of every deadline. `wall`: Unix seconds, for what is signed,
    stored and shown; may jump. `rng`: chance that need not be secret. `entropy(n)`: n bytes fit for keys and nonces.
    `connect`: opens a database, as `sqlite3.connect` does; the lab gives a disk that can fill up or break.
    """

    now: Callable[[], float]
    wall: Callable[[], float]
    rng: random.Random
    entropy: Callable[[int], bytes]
    offload: Offload
    network: Network
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    threads: int = 4
    """Threads one node may use at once. SQLite takes one writer per database and a node has three; one more for
    hashing files. A limiter of its own, so a program's own threads and ours cannot starve each other."""


def real_runtime(settings: RuntimeSettings | None = None, transport: TransportSettings | None = None) -> Runtime:
    """The machine this process runs on. `now` and `offload` work only inside `trio.run`."""
    settings = settings or RuntimeSettings()
    limiter = trio.CapacityLimiter(settings.threads)

    async def offload(work: Callable[[], T], /) -> T:
        return await trio.to_thread.run_sync(work, limiter=limiter)

    return Runtime(
        now=trio.current_time,
        wall=time.time,
        rng=random.Random(os.urandom(32)),
        entropy=os.urandom,
        offload=offload,
        network=RealNetwork(transport),
    )
