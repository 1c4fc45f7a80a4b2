"""CPU per get of a 100-byte blob that the asker does not hold: all nodes in one process, 32 gets in flight.

Everything is encrypted and every answer verified. Each value is compared with what was put, and a get counts only when
the network answered it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import trio

from kadnet.node import Node, open_node
from kadnet.overlay import OverlaySettings
from kadnet.wire.keys import Key

ROUNDS = 3
"""Rounds of gets in one run, of which the median counts: a sweep of the garbage collector through all nodes of one
process falls into one of them. The peer's script does the same."""


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(nodes: int, values: int, repeats: int, replicas: int = 16) -> dict[str, Any]:
    """One overlay of `nodes`, `values` blobs in it, then `repeats` rounds of gets by one node."""
    settings = OverlaySettings(replicas=replicas)
    async with AsyncExitStack() as stack:
        started = time.perf_counter()
        overlay = [await stack.enter_async_context(open_node(listen="127.0.0.1:0", overlay=settings))]
        door = f"127.0.0.1:{overlay[0].address.port}"
        overlay += [
            await stack.enter_async_context(open_node(listen="127.0.0.1:0", overlay=settings, bootstrap=[door]))
            for _ in range(nodes - 1)
        ]
        for node in overlay:
            await node.joined()
        build = time.perf_counter() - started
        blobs = [b"%08d" % number + os.urandom(92) for number in range(values)]
        for number, blob in enumerate(blobs):
            await overlay[1 + number % 8].put_blob(blob)
        asker = overlay[-1]
        wanted = await _not_held(asker, blobs)
        rounds = [await _round(asker, wanted) for _ in range(repeats)]
        return {"nodes": nodes, "build_s": round(build, 2), "values": len(wanted), "rounds": rounds}


async def _not_held(asker: Node, blobs: list[bytes]) -> list[tuple[Key, bytes]]:
    keys = [(Key.blob_of(blob), blob) for blob in blobs]
    return [(key, blob) for key, blob in keys if (await asker.fetch(key)).walk is not None]


async def _round(asker: Node, wanted: list[tuple[Key, bytes]]) -> dict[str, float]:
    todo = iter(wanted * max(1, 600 // len(wanted)))
    times: list[float] = []
    right = 0

    async def getter() -> None:
        nonlocal right
        for key, blob in todo:
            outcome = await asker.fetch(key)
            times.append(outcome.seconds)
            right += outcome.walk is not None and [entry.value for entry in outcome.entries] == [blob]

    cpu, started = _cpu(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(32):
            nursery.start_soon(getter)
    cpu, seconds = _cpu() - cpu, time.perf_counter() - started
    if right != len(times):
        raise SystemExit(f"{len(times) - right} of {len(times)} gets did not bring the value that was put")
    times.sort()
    return {
        "cpu_ms_per_get": 1000 * cpu / len(times),
        "gets_per_s": len(times) / seconds,
        "p50_ms": 1000 * times[len(times) // 2],
        "max_ms": 1000 * times[-1],
    }


if __name__ == "__main__":
    print(json.dumps(trio.run(partial(measure, int(sys.argv[1]), int(sys.argv[2]), ROUNDS))))
