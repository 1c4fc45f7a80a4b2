"""kadnet itself, with the verbs of `benchmarks.peers`: whole nodes as `open_node` gives them, real sockets.

Everything is sealed and every answer verified. Values are blobs, named by their hash. The nodes keep what they hold in
memory, as the others do here. A get counts only when the network answered it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median

import trio

from benchmarks import notices, sealed_rpc
from benchmarks.pairs import serving
from benchmarks.peers.driver import (
    GETS,
    IN_FLIGHT,
    PUTTERS,
    ROUNDS,
    Build,
    Keys,
    Largest,
    Round,
    Row,
    answer,
    leave,
    main,
    one_of_many,
    quantiles,
    say,
)
from kadnet.errors import InputError, NotConnected
from kadnet.node import Node, open_node
from kadnet.overlay import PutOutcome
from kadnet.version import VERSION
from kadnet.wire.keys import Key

PEER: Row = {"peer": "kadnet", "version": VERSION}
DOES_NOT = ["sign blobs (entries are signed)", "keep values on disk here (with a data dir it does)"]
_AMONG = 32  # nodes among which the largest value is sought: half of them do not hold it


@asynccontextmanager
async def grown(count: int, folder: Path | None = None) -> AsyncIterator[list[Node]]:
    """An overlay of `count` nodes in this process, all of which have joined. `folder`: where their data are, if any."""
    homes = [None if folder is None else folder / str(number) for number in range(count)]
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(open_node(homes[0], listen="127.0.0.1:0"))]
        door = f"127.0.0.1:{nodes[0].address.port}"
        nodes += [
            await stack.enter_async_context(open_node(home, listen="127.0.0.1:0", bootstrap=[door]))
            for home in homes[1:]
        ]
        for node in nodes:
            await node.joined()
        yield nodes


async def _brings(asker: Node, key: Key, blob: bytes) -> bool | None:
    """Whether the network brought what was put; None: the asker held it."""
    outcome = await asker.fetch(key)
    return None if outcome.walk is None else [entry.value for entry in outcome.entries] == [blob]


async def _put(node: Node, number: int, value: bytes, signed: bool) -> PutOutcome:
    return await (node.put(f"key {number}", value) if signed else node.put_blob(value))


async def _overlay(count: int, values: int, signed: bool) -> Row:
    """`signed`: entries under shared names, each signed, in place of blobs. A get of one asks all that hold it."""
    build = Build(count)
    async with grown(count) as nodes:
        build.done()
        asker, putters = nodes[-1], nodes[1 : min(PUTTERS + 1, count - 1)]
        put: dict[str, tuple[Key, bytes]] = {}
        puts, copies = [], []
        for number in range(values):
            blob, began = one_of_many(number), time.perf_counter()
            outcome = await _put(putters[number % len(putters)], number, blob, signed)
            puts.append(time.perf_counter() - began)
            copies.append(outcome.replicas)
            put[str(outcome.key)] = (outcome.key, blob)
        gets, wanted = [], []
        for name, (key, blob) in put.items():
            began = time.perf_counter()
            came = await _brings(asker, key, blob)
            if came is not None:
                wanted.append(name)
            if came:
                gets.append(time.perf_counter() - began)
        if not gets:
            raise SystemExit("no value came from another node: ask for more nodes than there are copies")
        flight = [await _in_flight(asker, put, Keys(wanted, max(GETS, len(wanted)))) for _ in range(ROUNDS)]
    latencies = {"put_ms": quantiles(puts), "get_ms": quantiles(gets)}
    return {
        "row": "entries" if signed else "overlay",
        **build.row(),
        **latencies,
        "flight": flight,
        "copies": median(copies),
    }


async def _in_flight(asker: Node, put: dict[str, tuple[Key, bytes]], keys: Keys) -> Row:
    this = Round()

    async def getter() -> None:
        while (name := keys.take()) is not None:
            began = time.perf_counter()
            came = await _brings(asker, *put[name])
            this.note(time.perf_counter() - began, right=bool(came))
            keys.back(name)

    async with trio.open_nursery() as nursery:
        for _ in range(IN_FLIGHT):
            nursery.start_soon(getter)
    return this.row()


async def _largest() -> Row:
    search = Largest(grain=1000)
    async with grown(_AMONG) as nodes:
        for size in search.sizes():
            search.note(size, await _trouble(nodes, os.urandom(size)))
    return search.row()


async def _trouble(nodes: list[Node], blob: bytes) -> str | None:
    try:
        key = (await nodes[1].put_blob(blob)).key
    except InputError:
        return "raises InputError"
    for node in reversed(nodes):
        came = await _brings(node, key, blob)
        if came is not None:
            return None if came else "does not come back"
    return "everybody holds it"


async def _node(port: int, bootstrap: int | None) -> None:
    """One node, driven by the lines on standard input until that is closed."""
    doors = [] if bootstrap is None else [f"127.0.0.1:{bootstrap}"]
    async with open_node(listen=f"127.0.0.1:{port}", bootstrap=doors) as node:
        if doors:
            await node.joined()
        say({"ready": True})
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            request = json.loads(line)
            if "put" in request:
                say({"key": str((await node.put_blob(bytes.fromhex(request["put"]))).key)})
            else:
                say(await _get(node, request["get"]))
    leave()


async def _get(node: Node, key: str) -> Row:
    began = time.perf_counter()
    try:
        outcome = await node.fetch(key)
    except NotConnected:
        return answer(None, time.perf_counter() - began, False)
    value = outcome.entries[0].value if outcome.entries else None
    return answer(value, time.perf_counter() - began, outcome.held)


def about() -> None:
    say({**PEER, "does_not": DOES_NOT, "cannot": {}})


def overlay(nodes: str, values: str) -> None:
    say({**PEER, **trio.run(_overlay, int(nodes), int(values), False)})


def entries(nodes: str, values: str) -> None:
    say({**PEER, **trio.run(_overlay, int(nodes), int(values), True)})


def ping(seconds: str) -> None:
    with serving(sealed_rpc.serve) as to:
        done = trio.run(partial(sealed_rpc.round_trips, to, IN_FLIGHT, float(seconds), tasks=False))
    say({**PEER, "row": "ping", "per_s": done / float(seconds), "in_flight": IN_FLIGHT})


def largest() -> None:
    say({**PEER, **trio.run(_largest)})


def node(port: str, bootstrap: str | None = None) -> None:
    trio.run(_node, int(port), None if bootstrap is None else int(bootstrap))


def stream(seconds: str, size: str) -> None:
    with serving(notices.serve) as to:
        per_s = trio.run(notices.over_a_link, to, float(seconds), int(size))
    say({**PEER, "row": "stream", "size": int(size), "per_s": per_s, "mb_per_s": per_s * int(size) / 1e6})


if __name__ == "__main__":
    main(
        {
            "about": about,
            "overlay": overlay,
            "entries": entries,
            "ping": ping,
            "largest": largest,
            "node": node,
            "stream": stream,
        }
    )
