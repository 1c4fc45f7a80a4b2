"""The `kademlia` package (asyncio, unencrypted), doing the same work. Run by its own interpreter: see `environments`.

    python peer_kademlia.py serve                  prints its port, then answers
    python peer_kademlia.py ping PORT SECONDS      plaintext pings, 32 in flight
    python peer_kademlia.py gets NODES VALUES      gets of 100-byte values that the asker does not hold, 32 in flight

Prints one JSON line. Imports nothing of kadnet.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import time

from kademlia.network import Server  # type: ignore[import-not-found]  # lives in an environment of its own
from kademlia.utils import digest  # type: ignore[import-not-found]

logging.disable(logging.CRITICAL)
IN_FLIGHT = 32
ROUNDS = 3
HOST = "127.0.0.1"


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def listening() -> tuple[Server, int]:
    server = Server()
    await server.listen(0, interface=HOST)
    return server, server.transport.get_extra_info("sockname")[1]


async def serve() -> None:
    _server, port = await listening()
    print(port, flush=True)
    await asyncio.Event().wait()


async def ping(port: int, seconds: float) -> None:
    server, _ = await listening()
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            answered, _value = await server.protocol.ping((HOST, port), server.node.id)
            done += bool(answered)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    server.stop()
    print(json.dumps({"per_s": done / seconds}))


async def one_round(asker: Server, put: dict[str, bytes], wanted: list[str]) -> dict[str, float]:
    todo = iter(wanted * max(1, 600 // len(wanted)))
    done, right = 0, 0

    async def getter() -> None:
        nonlocal done, right
        for key in todo:
            value = await asker.get(key)
            done += 1
            right += value == put[key]

    cpu_before, started = cpu(), time.perf_counter()
    await asyncio.gather(*(getter() for _ in range(IN_FLIGHT)))
    spent, seconds = cpu() - cpu_before, time.perf_counter() - started
    return {"cpu_ms_per_get": 1000 * spent / done, "gets_per_s": done / seconds, "right": right, "gets": done}


async def gets(nodes: int, values: int) -> None:
    first, port = await listening()
    overlay = [first]
    for _ in range(nodes - 1):
        server, _ = await listening()
        await server.bootstrap([(HOST, port)])
        overlay.append(server)
    put = {f"key-{number}": b"%08d" % number + os.urandom(92) for number in range(values)}
    for number, (key, value) in enumerate(put.items()):
        await overlay[1 + number % 8].set(key, value)
    asker = overlay[-1]
    wanted = [key for key in put if asker.storage.get(digest(key)) is None]
    rounds = [await one_round(asker, put, wanted) for _ in range(ROUNDS)]
    for server in overlay:
        server.stop()
    print(json.dumps({"rounds": rounds}))


def main() -> None:
    verb, *numbers = sys.argv[1:]
    if verb == "serve":
        asyncio.run(serve())
    elif verb == "ping":
        asyncio.run(ping(int(numbers[0]), float(numbers[1])))
    else:
        asyncio.run(gets(int(numbers[0]), int(numbers[1])))


main()
