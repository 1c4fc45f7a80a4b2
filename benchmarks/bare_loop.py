"""The yardstick for RPC: the same request/response loop, unsealed, on bare drained sockets.

A pending table, 32 callers and a timeout for each, which is what any RPC layer has to have; nothing is encoded,
encrypted, counted or limited. Both ends read in batches until the socket would block, as ours do.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from typing import Any

import trio

BODY = os.urandom(112)  # with the 8-byte id about as long as our PING and PONG


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def serve(tell: Any) -> None:
    """Echo for ever. `tell` is a pipe that gets our address."""
    sock = _socket()
    tell.send(sock.getsockname())
    while True:
        await trio.lowlevel.wait_readable(sock)
        for _ in range(64):
            try:
                data, source = sock.recvfrom(2048)
                sock.sendto(data, source)
            except BlockingIOError:
                break


async def round_trips(to: tuple[str, int], in_flight: int, seconds: float) -> int:
    """How many requests were answered in `seconds`."""
    sock = _socket()
    pending: dict[bytes, trio.Event] = {}
    ids = itertools.count()
    done = 0
    end = time.perf_counter() + seconds

    async def receive() -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            for _ in range(64):
                try:
                    data, _source = sock.recvfrom(2048)
                except BlockingIOError:
                    break
                waiting = pending.pop(data[:8], None)
                if waiting is not None:
                    waiting.set()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            id = next(ids).to_bytes(8, "big")
            answered = pending[id] = trio.Event()
            with trio.move_on_after(5):
                sock.sendto(id + BODY, to)
                await answered.wait()
                done += 1

    async with trio.open_nursery() as receiver:
        receiver.start_soon(receive)
        async with trio.open_nursery() as callers:
            for _ in range(in_flight):
                callers.start_soon(caller)
        receiver.cancel_scope.cancel()
    sock.close()
    return done
