"""App notices of 1 KiB over a link, beside bare trio TCP that carries the same 1 KiB frames, one send for each.

Sender and receiver are two processes. What counts is what the receiver has seen, from the first send to its answer.
"""

from __future__ import annotations

import time
from typing import Any

import trio

from kadnet.host import Host, open_host
from kadnet.identity.address import Address
from kadnet.identity.keys import Identity
from kadnet.overlay import OverlaySettings
from kadnet.runtime import real_runtime
from kadnet.wire.handshake import Answerer, Caller

SIZE = 1024
_ALONE = OverlaySettings(reach="client")  # the overlay has nothing to do with it


def _node() -> Any:
    return open_host(real_runtime(), listen="127.0.0.1:0", overlay=_ALONE)


async def serve_links(tell: Any) -> None:
    """Count notices, and answer requests with the count so far."""
    async with _node() as host:
        seen = 0

        async def count(_peer: bytes, body: bytes) -> None:
            nonlocal seen
            assert len(body) == SIZE
            seen += 1

        async def answer(_peer: bytes, _body: bytes) -> bytes:
            return seen.to_bytes(8, "big")

        host.handle("bench", answer, count)
        tell.send((host.id, host.address.port))
        await trio.sleep_forever()


async def over_a_link(at: tuple[bytes, int], seconds: float) -> float:
    """Notices per second that arrived, sent for `seconds`."""
    async with _node() as host:
        who = Address(at[0], "127.0.0.1", at[1])
        before = await _seen(host, who)
        body = bytes(SIZE)
        started = time.perf_counter()
        end = started + seconds
        while time.perf_counter() < end:
            for _ in range(64):
                await host.notify(who, "bench", body)
        arrived = await _seen(host, who) - before
        return arrived / (time.perf_counter() - started)


async def warm_round_trips(at: tuple[bytes, int], count: int) -> float:
    """Seconds of one request and answer on a link that stands, the median."""
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


async def serve_bare(tell: Any) -> None:
    """Count frames of 1 KiB on each stream, and answer its end with the count."""

    async def count(stream: trio.SocketStream) -> None:
        seen = 0
        while data := await stream.receive_some(65_536):
            seen += len(data)
        await stream.send_all((seen // SIZE).to_bytes(8, "big"))
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    tell.send(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(count, listeners)


async def over_bare_tcp(port: int, seconds: float) -> float:
    """Frames per second that arrived, each sent by itself."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    body = bytes(SIZE)
    started = time.perf_counter()
    end = started + seconds
    while time.perf_counter() < end:
        for _ in range(64):
            await stream.send_all(body)
    await stream.send_eof()
    arrived = b""
    while len(arrived) < 8:
        arrived += await stream.receive_some(8)
    await stream.aclose()
    return int.from_bytes(arrived, "big") / (time.perf_counter() - started)


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


__all__ = [
    "handshakes_per_second",
    "over_a_link",
    "over_bare_tcp",
    "serve_bare",
    "serve_links",
    "warm_round_trips",
]
