"""The `kademlia` package (asyncio), with the verbs of `benchmarks.peers`. Run by its own interpreter.

Values are plain, under keys of our choosing, on twenty nodes. What it fetches it also keeps at the nearest node that
lacked it, so the asker's own copies are looked for before each round.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import logging
import os
import sys
import time
from pathlib import Path
from statistics import median

from kademlia.network import Server  # type: ignore[import-not-found]  # lives in an environment of its own
from kademlia.utils import digest  # type: ignore[import-not-found]  # lives in an environment of its own

sys.path.append(str(Path(__file__).resolve().parents[2]))  # another environment's interpreter runs this as a script

from benchmarks.peers.driver import (
    GETS,
    HOST,
    IN_FLIGHT,
    PUTTERS,
    ROUNDS,
    Build,
    Keys,
    Largest,
    Round,
    Row,
    Second,
    answer,
    end_with_stdin,
    main,
    one_of_many,
    quantiles,
    say,
)

PEER: Row = {"peer": "kademlia", "version": importlib.metadata.version("kademlia")}
DOES_NOT = ["encrypt", "sign (anyone overwrites any key)", "verify what it fetches", "keep values on disk"]
CANNOT = {"stream": "it has no streams"}
_AMONG = 32  # nodes among which the largest value is sought: a third of them do not hold it

logging.disable(logging.CRITICAL)


async def listening(port: int = 0) -> tuple[Server, int]:
    server = Server()
    await server.listen(port, interface=HOST)
    return server, server.transport.get_extra_info("sockname")[1]


async def grown(count: int) -> list[Server]:
    first, port = await listening()
    servers = [first]
    for _ in range(count - 1):
        server, _ = await listening()
        await server.bootstrap([(HOST, port)])
        servers.append(server)
    return servers


def holds(server: Server, key: str) -> bool:
    return server.storage.get(digest(key)) is not None


async def _overlay(count: int, values: int) -> Row:
    build = Build(count)
    servers = await grown(count)
    build.done()
    asker, putters = servers[-1], servers[1 : min(PUTTERS + 1, count - 1)]
    put = {f"key-{number}": one_of_many(number) for number in range(values)}
    puts, gets = [], []
    for number, (key, value) in enumerate(put.items()):
        began = time.perf_counter()
        await putters[number % len(putters)].set(key, value)
        puts.append(time.perf_counter() - began)
    copies = median(sum(holds(server, key) for server in servers) for key in put)
    for key in [key for key in put if not holds(asker, key)]:
        began = time.perf_counter()
        if await asker.get(key) == put[key]:
            gets.append(time.perf_counter() - began)
    if not gets:
        raise SystemExit("no value came from another node: ask for more nodes than there are copies")
    flight = [await _in_flight(asker, put) for _ in range(ROUNDS)]
    latencies = {"put_ms": quantiles(puts), "get_ms": quantiles(gets)}
    return {"row": "overlay", **build.row(), **latencies, "flight": flight, "copies": copies}


async def _in_flight(asker: Server, put: dict[str, bytes]) -> Row:
    wanted = [key for key in put if not holds(asker, key)]
    keys, this = Keys(wanted, max(GETS, len(wanted))), Round()

    async def getter() -> None:
        while (key := keys.take()) is not None:
            began = time.perf_counter()
            value = await asker.get(key)
            this.note(time.perf_counter() - began, right=value == put[key])
            keys.back(key)

    await asyncio.gather(*(getter() for _ in range(IN_FLIGHT)))
    return this.row()


async def _largest() -> Row:
    search = Largest(grain=1000)
    servers = await grown(_AMONG)
    for size in search.sizes():
        search.note(size, await _trouble(servers, f"of {size}", os.urandom(size)))
    return search.row()


async def _trouble(servers: list[Server], key: str, value: bytes) -> str | None:
    try:
        await servers[1].set(key, value)
        strangers = [server for server in servers[2:] if not holds(server, key)]
        came = await strangers[0].get(key)
    except Exception as error:  # noqa: BLE001  # whatever the library raises for a value too large is its answer
        return f"raises {type(error).__name__}"
    return None if came == value else "does not come back"


async def _node(port: int, bootstrap: int | None) -> None:
    """One node, driven by the lines on standard input until that is closed."""
    server, _ = await listening(port)
    if bootstrap is not None and not await server.bootstrap([(HOST, bootstrap)]):
        raise SystemExit("node 0 does not answer")
    say({"ready": True})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        if "put" in request:
            value = bytes.fromhex(request["put"])
            key = hashlib.sha256(value).hexdigest()
            await server.set(key, value)
            say({"key": key})
        else:
            say(await _get(server, request["get"]))


async def _get(server: Server, key: str) -> Row:
    held, began = holds(server, key), time.perf_counter()
    value = await server.get(key)
    return answer(value, time.perf_counter() - began, held)


async def _serve() -> None:
    _server, port = await listening()
    say({"port": port})
    await asyncio.Event().wait()


async def _ping(port: int, seconds: float) -> float:
    server, _ = await listening()
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            answered, _value = await server.protocol.ping((HOST, port), server.node.id)
            done += bool(answered)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return done / seconds


def about() -> None:
    say({**PEER, "does_not": DOES_NOT, "cannot": CANNOT})


def overlay(nodes: str, values: str) -> None:
    say({**PEER, **asyncio.run(_overlay(int(nodes), int(values)))})


def ping(seconds: str) -> None:
    with Second("answer") as told:
        per_s = asyncio.run(_ping(told["port"], float(seconds)))
    say({**PEER, "row": "ping", "per_s": per_s, "in_flight": IN_FLIGHT})


def respond() -> None:
    """The second process of `ping`."""
    end_with_stdin()
    asyncio.run(_serve())


def largest() -> None:
    say({**PEER, **asyncio.run(_largest())})


def node(port: str, bootstrap: str | None = None) -> None:
    asyncio.run(_node(int(port), None if bootstrap is None else int(bootstrap)))


if __name__ == "__main__":
    main({"about": about, "overlay": overlay, "ping": ping, "largest": largest, "node": node, "answer": respond})
