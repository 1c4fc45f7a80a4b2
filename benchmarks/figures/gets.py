"""Gets in flight by one of many nodes in one process, of blobs or of entries; the work of three figures.

    python -m benchmarks.figures.gets NODES VALUES REPEAT        entries: their own row beside the blobs

Blobs are measured by the driver of the scoreboard (`benchmarks.peers.peer_kadnet`), as libtorrent's are by its own. An
entry costs a check of its signature besides; those that were checked once stay known. A get counts as right when the
network brought what was put.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import trio

from benchmarks.peers.driver import GETS, IN_FLIGHT, PUTTERS, ROUNDS, Keys, Round, Row, one_of_many, say
from benchmarks.peers.peer_kadnet import grown
from kadnet.node import Node
from kadnet.wire.keys import Key


@dataclass(frozen=True, slots=True)
class Blobs:
    """Values that were put, and who asks for them: a node that holds none of them. By the text of the key."""

    asker: Node
    stored: dict[str, tuple[Key, bytes]]

    @classmethod
    async def put(cls, nodes: Sequence[Node], values: int) -> Blobs:
        """Blobs through `PUTTERS` nodes."""
        blobs = [one_of_many(number) for number in range(values)]
        outcomes = [await _putter(nodes, at).put_blob(blob) for at, blob in enumerate(blobs)]
        return await cls._kept(nodes[-1], [outcome.key for outcome in outcomes], blobs)

    @classmethod
    async def put_entries(cls, nodes: Sequence[Node], values: int) -> Blobs:
        """The same as signed entries, each under a name of its own."""
        blobs = [one_of_many(number) for number in range(values)]
        outcomes = [await _putter(nodes, at).put(f"figure {at}", blob) for at, blob in enumerate(blobs)]
        return await cls._kept(nodes[-1], [outcome.key for outcome in outcomes], blobs)

    @classmethod
    async def _kept(cls, asker: Node, keys: Sequence[Key], blobs: Sequence[bytes]) -> Blobs:
        stored = {}
        for key, blob in zip(keys, blobs, strict=True):
            if (await asker.fetch(key)).walk is not None:
                stored[str(key)] = key, blob
        if not stored:
            raise SystemExit("no value came from another node: ask for more nodes than there are copies")
        return cls(asker, stored)


def _putter(nodes: Sequence[Node], number: int) -> Node:
    return nodes[1 + number % min(PUTTERS, len(nodes) - 2)]


async def round_of(work: Blobs) -> Row:
    """One round of gets in flight."""
    keys = Keys(list(work.stored), max(GETS, len(work.stored)))
    this = Round()

    async def getter() -> None:
        while (name := keys.take()) is not None:
            key, blob = work.stored[name]
            began = time.perf_counter()
            outcome = await work.asker.fetch(key)
            right = outcome.walk is not None and blob in [entry.value for entry in outcome.entries]
            this.note(time.perf_counter() - began, right=right)
            keys.back(name)

    async with trio.open_nursery() as nursery:
        for _ in range(IN_FLIGHT):
            nursery.start_soon(getter)
    return this.row()


def of_rounds(rounds: Sequence[Row]) -> dict[str, float]:
    """The figures of some rounds: medians, of the slowest the worst."""
    asked = sum(each["asked"] for each in rounds)
    return {
        "cpu_ms": median(each["cpu_ms_per_get"] for each in rounds),
        "gets_per_s": median(each["gets_per_s"] for each in rounds),
        "slowest_ms": max(each["slowest_ms"] for each in rounds),
        "success": 100 * sum(each["right"] for each in rounds) / max(1, asked),
    }


async def entries(nodes: int, values: int) -> dict[str, float]:
    """The figures of gets of entries."""
    async with grown(nodes) as overlay:
        work = await Blobs.put_entries(overlay, values)
        return of_rounds([await round_of(work) for _ in range(ROUNDS)])


if __name__ == "__main__":
    found = trio.run(entries, int(sys.argv[1]), int(sys.argv[2]))
    say({"row": "entries", "side": "kadnet", "repeat": int(sys.argv[3]), "figures": found})
