"""App notices over a link: queued, sealed, framed, checked, opened, handed to a handler. Also what a handshake costs.

    python -m benchmarks.notices SECONDS        a warm request and answer; whole handshakes per second

Sender and receiver are two processes. What counts is what the receiver has seen, from the first send to its answer.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import trio

from benchmarks.pairs import serving
from kadnet.host import Host, open_host
from kadnet.identity.address import Address
from kadnet.identity.keys import Identity
from kadnet.overlay import OverlaySettings
from kadnet.runtime import real_runtime
from kadnet.wire.handshake import Answerer, Caller

_ALONE = OverlaySettings(reach="client")  # the overlay has nothing to do with it
_TRIPS = 300


def _node() -> Any:
    return open_host(real_runtime(), listen="127.0.0.1:0", overlay=_ALONE)


async def serve(tell: Any) -> None:
    """Count the bytes of notices, and answer requests with the count so far."""
    async with _node() as host:
        seen = 0

        async def count(_peer: bytes, body: bytes) -> None:
            nonlocal seen
            seen += len(body)

        async def answer(_peer: bytes, _body: bytes) -> bytes:
            return seen.to_bytes(8, "big")

        host.handle("bench", answer, count)
        tell.send((host.id, host.address.port))
        await trio.sleep_forever()


async def over_a_link(at: tuple[bytes, int], seconds: float, size: int) -> float:
    """Notices of `size` bytes per second that arrived, sent for `seconds`."""
    async with _node() as host:
        who = Address(at[0], "127.0.0.1", at[1])
        before = await _seen(host, who)
        body = bytes(size)
        started = time.perf_counter()
        end = started + seconds
        while time.perf_counter() < end:
            for _ in range(16):
                await host.notify(who, "bench", body)
        arrived = await _seen(host, who) - before
        return arrived / size / (time.perf_counter() - started)


async def warm_round_trip(at: tuple[bytes, int], count: int) -> float:
    """Seconds of one request and answer on a link that stands, the median of `count`."""
    async with _node() as host:
        who = Address(at[0], "127.0.0.1", at[1])
        times = []
        for _ in range(count):
            started = time.perf_counter()
            await _seen(host, who)
            times.append(time.perf_counter() - started)
        return sorted(times)[count // 2]


async def _seen(host: Host, who: Address) -> int:
    return int.from_bytes(await host.request(who, "bench", b""), "big")


def handshakes_per_second(seconds: float) -> float:
    """Whole handshakes, both sides of each on this one core, with fresh ephemeral keys."""
    alice, bob = Identity.from_seed(bytes(32)), Identity.from_seed(bytes([1]) * 32)
    network, instance = bytes(32), bytes(8)
    entropy = real_runtime().entropy
    done = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        caller = Caller(alice, bob.public, network, instance=instance, ephemeral=entropy(32))
        answerer = Answerer(bob, network, instance=instance, ephemeral=entropy(32))
        answerer.read(caller.hello())
        caller.read(answerer.reply()[0])
        done += 1
    return done / (time.perf_counter() - started)


def main() -> None:
    with serving(serve) as at:
        warm = trio.run(warm_round_trip, at, _TRIPS)
    hands = handshakes_per_second(float(sys.argv[1]))
    print(json.dumps({"row": "links", "peer": "kadnet", "warm_us": 1e6 * warm, "handshakes_per_s": hands}))


if __name__ == "__main__":
    main()
