"""What a node adds to the memory of a process, and what a full contact cache adds to a node.

    python -m benchmarks.figures.memory memory|disk NODES REPEAT
    python -m benchmarks.figures.memory cache CONTACTS REPEAT

Nodes that have joined and hold nothing: what the process grew by, by their number. With `disk` each has a data
directory of its own, with its databases. The cache is filled with contacts that nobody else holds, half of them proven
and half hearsay, as if a node had decoded every one of them for it.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import trio

from benchmarks.peers.driver import Build, resident, say
from benchmarks.peers.peer_kadnet import grown
from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCache, ContactCacheSettings

_CACHES = 8  # the figure is their mean: one alone may fit into memory that was free already


async def of_a_node(nodes: int, folder: Path | None) -> float:
    """KiB that each of `nodes` adds."""
    build = Build(nodes)
    async with grown(nodes, folder):
        build.done()
    return build.kib


def of_a_cache(contacts: int) -> float:
    """KiB of a cache with so many contacts in it."""
    gc.collect()
    before = resident()
    caches = [_filled(contacts) for _ in range(_CACHES)]
    return (resident() - before) / len(caches)


def _filled(contacts: int) -> ContactCache:
    cache = ContactCache(ContactCacheSettings(max_contacts=contacts))
    for number in range(contacts):
        contact = Contact(os.urandom(32), Endpoint(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 4567))
        if number % 2:
            cache.answered(contact, 0.0)
        else:
            cache.named([contact], 0.0)
    assert len(cache) == contacts
    return cache


def main(what: str, count: int, repeat: int) -> None:
    """Measure and say what came of it."""
    if what == "cache":
        found = of_a_cache(count)
    elif what == "disk":
        with tempfile.TemporaryDirectory(prefix="kadnet-memory-") as folder:
            found = trio.run(of_a_node, count, Path(folder))
    else:
        found = trio.run(of_a_node, count, None)
    say({"row": "memory", "side": "kadnet", "repeat": repeat, "figures": {f"kib_{what}": round(found, 1)}})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
