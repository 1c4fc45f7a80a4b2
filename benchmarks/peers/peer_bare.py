"""Bare trio sockets: what any library on trio stands on. They cannot do more than carry bytes.

    python -m benchmarks.peers.peer_bare about | ping SECONDS | stream SECONDS SIZE

`ping` is the request loop of `bare_loop`. `stream` sends frames of SIZE bytes over TCP, one `send_all` for each, and
counts what the receiver has seen, from the first send to its answer.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any

import trio

from benchmarks import bare_loop
from benchmarks.pairs import serving

IN_FLIGHT = 32
DOES_NOT = ["do anything but carry bytes"]
CANNOT = dict.fromkeys(("overlay", "largest", "node"), "sockets are no overlay")


async def _count(tell: Any) -> None:
    """Count the bytes of each stream, and answer its end with the count."""

    async def count(stream: trio.SocketStream) -> None:
        seen = 0
        while data := await stream.receive_some(262_144):
            seen += len(data)
        await stream.send_all(seen.to_bytes(8, "big"))
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    tell.send(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(count, listeners)


async def _send(port: int, seconds: float, size: int) -> float:
    """Frames per second that arrived, each sent by itself."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    body = bytes(size)
    started = time.perf_counter()
    end = started + seconds
    while time.perf_counter() < end:
        for _ in range(16):
            await stream.send_all(body)
    await stream.send_eof()
    arrived = b""
    while len(arrived) < 8:
        arrived += await stream.receive_some(8)
    await stream.aclose()
    return int.from_bytes(arrived, "big") / size / (time.perf_counter() - started)


def ping(seconds: float) -> dict[str, object]:
    with serving(bare_loop.serve) as at:
        done = trio.run(partial(bare_loop.round_trips, at, IN_FLIGHT, seconds))
    return {"row": "ping", "per_s": done / seconds, "in_flight": IN_FLIGHT}


def stream(seconds: float, size: int) -> dict[str, object]:
    with serving(_count) as port:
        per_s = trio.run(_send, port, seconds, size)
    return {"row": "stream", "size": size, "per_s": per_s, "mb_per_s": per_s * size / 1e6}


def main() -> None:
    verb, *rest = sys.argv[1:]
    if verb == "ping":
        line = ping(float(rest[0]))
    elif verb == "stream":
        line = stream(float(rest[0]), int(rest[1]))
    else:
        line = {"does_not": DOES_NOT, "cannot": CANNOT}
    print(json.dumps({**line, "peer": "bare", "version": f"trio {trio.__version__}"}))


if __name__ == "__main__":
    main()
