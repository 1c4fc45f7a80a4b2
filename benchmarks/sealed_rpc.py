"""Sealed RPC round trips per second between two processes, through a whole node at both ends.

Tokens, limits, counters and the routing table are on: this is the path of every packet. A query is driven by callbacks,
as the overlay drives it. The same with a task for each caller stands beside it, for programs that await.

    python -m benchmarks.sealed_rpc SECONDS        the second of the two; the first is kadnet's verb `ping`
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any

import trio

from benchmarks.pairs import serving
from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.node import open_node
from kadnet.overlay.rpc import Rpc
from kadnet.wire.messages import Ping


async def serve(tell: Any) -> None:
    """A node that answers for ever; `tell` is a pipe that gets (ID, port)."""
    async with open_node(listen="127.0.0.1:0") as node:
        tell.send((node.id, node.address.port))
        await trio.sleep_forever()


async def _one(rpc: Rpc, contact: Contact) -> None:
    settled = trio.Event()
    rpc.ask(contact, Ping, (), lambda *_: settled.set(), lambda _: settled.set())
    await settled.wait()


async def round_trips(to: tuple[bytes, int], in_flight: int, seconds: float, *, tasks: bool) -> int:
    """How many PINGs were answered in `seconds`."""
    contact = Contact(to[0], Endpoint("127.0.0.1", to[1]))
    async with open_node(listen="127.0.0.1:0", bootstrap=[f"127.0.0.1:{to[1]}"]) as node:
        await node.joined()
        rpc = node.host.overlay.rpc
        done = 0
        open_calls = in_flight
        finished = trio.Event()
        end = time.perf_counter() + seconds

        def again(*_answer: object) -> None:
            nonlocal done, open_calls
            done += 1
            if time.perf_counter() < end:
                rpc.ask(contact, Ping, (), again, failed)
            else:
                stop()

        def failed(_reason: str) -> None:
            stop()

        def stop() -> None:
            nonlocal open_calls
            open_calls -= 1
            if not open_calls:
                finished.set()

        async def caller() -> None:
            nonlocal done
            while time.perf_counter() < end:
                await _one(rpc, contact)
                done += 1

        if tasks:
            async with trio.open_nursery() as nursery:
                for _ in range(in_flight):
                    nursery.start_soon(caller)
        else:
            for _ in range(in_flight):
                rpc.ask(contact, Ping, (), again, failed)
            await finished.wait()
        return done


def main() -> None:
    seconds = float(sys.argv[1])
    with serving(serve) as to:
        done = trio.run(partial(round_trips, to, 32, seconds, tasks=True))
    print(json.dumps({"row": "tasks", "peer": "kadnet", "per_s": done / seconds}))


if __name__ == "__main__":
    main()
