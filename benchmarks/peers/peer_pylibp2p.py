"""py-libp2p's Kademlia (trio): TCP, Noise and yamux as it sets them up by itself. Run by its own interpreter.

No mDNS, UPnP, bootstrap list or random walk. A node joins by connecting to node 0 and looking up itself.

py-libp2p keeps what it gets. The asker's copy is thrown away after each get, or the next would not leave the process;
copies that other nodes stored at the asker stay there, and those values are not asked for.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import trio
from libp2p import new_host  # type: ignore[import-not-found]  # lives in an environment of its own
from libp2p.crypto.ed25519 import create_new_key_pair  # type: ignore[import-not-found]  # the same
from libp2p.host.ping import ID as PING  # type: ignore[import-not-found]  # the same
from libp2p.host.ping import perform_ping_roundtrip
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT  # type: ignore[import-not-found]  # the same
from libp2p.peer.id import ID  # type: ignore[import-not-found]  # the same
from libp2p.peer.peerinfo import info_from_p2p_addr  # type: ignore[import-not-found]  # the same
from libp2p.records.validator import Validator  # type: ignore[import-not-found]  # the same
from libp2p.tools.anyio_service import background_trio_service  # type: ignore[import-not-found]  # the same
from multiaddr import Multiaddr  # type: ignore[import-not-found]  # the same

sys.path.append(str(Path(__file__).resolve().parents[2]))  # another environment's interpreter runs this as a script

from benchmarks.peers.driver import (
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
    Verb,
    answer,
    end_with_stdin,
    leave,
    main,
    one_of_many,
    quantiles,
    say,
)

PEER: Row = {"peer": "py-libp2p", "version": importlib.metadata.version("libp2p")}
DOES_NOT = [
    "use datagrams: every request is a stream over TCP, encrypted by Noise",
    "keep the publisher's signature: whoever stores a record signs it anew",
    "keep values on disk unless it is given a folder",
    "keep more than 20 copies of a value, and one at the putter",
    "take more than 12 requests at a time: it resets the others",
    "take more than 2 streams of pings from one peer",
]
MEASURED = [
    "what a get brought is thrown away after it, or the next get of it would not leave the process",
    "every value asked for once in a round: fewer than 32 are in flight where fewer are asked for",
]

FIRST_PORT = 22000
CALL_SECONDS = 20.0
CHUNKS = "/bench/chunks/1"
END = b"\xff" * 8
"""Chunks are zeros: these bytes end them. Closing would do, but an answer after it is not every version's habit."""
READ = 65_536
PINGS = 2
"""A py-libp2p node takes two streams of pings from one peer and resets the others."""

logging.disable(logging.CRITICAL)


class AnyValue(Validator):  # type: ignore[misc]  # its base lives in an environment of its own
    """Takes every value under /bench/."""

    def validate(self, key: str, value: bytes) -> None:
        """Nothing is wrong with any value."""

    def select(self, key: str, values: list[bytes]) -> int:
        """The first is as good as any."""
        return 0


class Node:
    """A host with its DHT."""

    def __init__(self, host: Any, dht: Any) -> None:
        self.host, self.dht = host, dht

    def holds(self, key: str) -> bool:
        return self.dht.value_store.get(key.encode()) is not None

    async def put(self, value: bytes) -> str:
        """Its key. ValueError says why it did not go."""
        key = "/bench/" + os.urandom(20).hex()
        try:
            with trio.fail_after(CALL_SECONDS):
                await self.dht.put_value(key, value)
        except trio.TooSlowError as error:
            raise ValueError(f"no end of the put within {CALL_SECONDS:g} s") from error
        return key

    async def get(self, key: str) -> bytes | None:
        """What the network brings; the copy that py-libp2p keeps of it is thrown away."""
        held = self.holds(key)
        value = None
        with trio.move_on_after(CALL_SECONDS):
            value = await self.dht.get_value(key)
        if not held:
            self.dht.value_store.remove(key.encode())
        return value


def key_of(port: int) -> Any:
    """Keys made from the port, so that a process that is given a port knows the id that an address must name."""
    return create_new_key_pair(hashlib.sha256(b"%d" % port).digest())


def address_of(port: int) -> str:
    """The multiaddress of the node at a port."""
    return f"/ip4/{HOST}/tcp/{port}/p2p/{ID.from_pubkey(key_of(port).public_key)}"


@asynccontextmanager
async def running(port: int, door: str | None) -> AsyncIterator[Node]:
    """A node that has joined at `door`, a whole multiaddress."""
    host = new_host(key_pair=key_of(port), enable_mDNS=False, enable_upnp=False, bootstrap=None)
    async with host.run(listen_addrs=[Multiaddr(f"/ip4/{HOST}/tcp/{port}")]):
        dht = KadDHT(host, DHTMode.SERVER, enable_random_walk=False)
        dht.register_validator("bench", AnyValue())
        async with background_trio_service(dht):
            if door is not None:
                known = info_from_p2p_addr(Multiaddr(door))
                await host.connect(known)
                await dht.add_peer(known.peer_id)
                await dht.peer_routing.find_closest_peers_network(host.get_id().to_bytes())
            yield Node(host, dht)


async def joined(stack: AsyncExitStack, nodes: int) -> list[Node]:
    """Nodes that joined at node 0, one after the other."""
    first = await stack.enter_async_context(running(FIRST_PORT, None))
    rest = range(FIRST_PORT + 1, FIRST_PORT + nodes)
    return [first] + [await stack.enter_async_context(running(port, address_of(FIRST_PORT))) for port in rest]


async def one_round(asker: Node, put: dict[str, bytes], wanted: list[str]) -> Row:
    """Every value asked for once, `IN_FLIGHT` at a time (or as many as there are)."""
    keys = Keys(wanted, len(wanted))
    counted = Round()

    async def getter() -> None:
        while key := keys.take():
            began = time.perf_counter()
            value = await asker.get(key)
            counted.note(time.perf_counter() - began, right=value == put[key])
            keys.back(key)

    async with trio.open_nursery() as nursery:
        for _ in range(min(IN_FLIGHT, len(wanted))):
            nursery.start_soon(getter)
    return counted.row()


async def _overlay(nodes: int, values: int) -> None:
    async with AsyncExitStack() as stack:
        build = Build(nodes)
        everyone = await joined(stack, nodes)
        build.done()
        put: dict[str, bytes] = {}
        put_seconds, get_seconds, right, failed = [], [], 0, 0
        for number in range(values):
            value, putter = one_of_many(number), everyone[1 + number % PUTTERS]
            began = time.perf_counter()
            try:
                key = await putter.put(value)
            except ValueError:
                failed += 1
                continue
            put_seconds.append(time.perf_counter() - began)
            put[key] = value
        copies = median(sum(node.holds(key) for node in everyone) for key in put)
        asker = min(everyone[1 + PUTTERS :], key=lambda node: sum(node.holds(key) for key in put))
        wanted = [key for key in put if not asker.holds(key)]
        for key in wanted:
            began = time.perf_counter()
            found = await asker.get(key)
            get_seconds.append(time.perf_counter() - began)
            right += found == put[key]
        flight = [await one_round(asker, put, wanted) for _ in range(ROUNDS)]
        row: Row = {"row": "overlay", **PEER, **build.row()}
        row |= {"put_ms": quantiles(put_seconds), "get_ms": quantiles(get_seconds), "flight": flight}
        row |= {"in_flight": min(IN_FLIGHT, len(wanted)), "copies": copies}
        say(row | {"puts_failed": failed, "in_turn": {"asked": len(wanted), "right": right}})


async def _largest() -> None:
    async with AsyncExitStack() as stack:
        everyone = await joined(stack, 24)
        search = Largest(first=65_536)
        for size in search.sizes():
            search.note(size, await _trouble(everyone, os.urandom(size)))
        say(PEER | search.row())


async def _trouble(everyone: list[Node], value: bytes) -> str | None:
    """How a value fails to come back whole, or None. One that the putter alone holds was not put."""
    try:
        key = await everyone[1].put(value)
    except ValueError as error:
        return str(error)
    if sum(node.holds(key) for node in everyone) < 2:
        return "put without an error, yet no node but the putter holds it"
    asker = next(node for node in reversed(everyone) if not node.holds(key))
    return None if await asker.get(key) == value else "put without an error, but did not come back"


async def _node(port: int, door: int | None) -> None:
    async with running(port, None if door is None else address_of(door)) as one:
        say({"ready": True})
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            request = json.loads(line)
            if "put" in request:
                say({"key": await one.put(bytes.fromhex(request["put"]))})
                continue
            held, began = one.holds(request["get"]), time.perf_counter()
            value = await one.get(request["get"])
            say(answer(value, time.perf_counter() - began, held))
        leave()  # its own way of stopping takes seconds


async def _serve() -> None:
    """Answers pings, and counts the bytes of each stream of chunks until its end."""

    async def count(stream: Any) -> None:
        seen, tail = 0, b""
        while tail != END and (data := await stream.read(READ)):
            seen += len(data)
            tail = (tail + data)[-len(END) :]
        await stream.write(seen.to_bytes(8, "big"))

    async with running(FIRST_PORT, None) as one:
        one.host.set_stream_handler(CHUNKS, count)
        say({"address": address_of(FIRST_PORT)})
        await trio.sleep_forever()


async def _ping(door: str, seconds: float) -> None:
    async with running(FIRST_PORT + 1, door) as one:
        there = info_from_p2p_addr(Multiaddr(door)).peer_id
        done = 0
        began = time.perf_counter()

        async def pinger() -> None:
            nonlocal done
            stream = await one.host.new_stream(there, [PING])
            while time.perf_counter() < began + seconds:
                await perform_ping_roundtrip(stream)
                done += 1

        async with trio.open_nursery() as nursery:
            for _ in range(PINGS):
                nursery.start_soon(pinger)
        per_s = done / (time.perf_counter() - began)
        say({"row": "ping", **PEER, "per_s": round(per_s, 1), "in_flight": PINGS})


async def _stream(door: str, seconds: float, size: int) -> None:
    async with running(FIRST_PORT + 1, door) as one:
        stream = await one.host.new_stream(info_from_p2p_addr(Multiaddr(door)).peer_id, [CHUNKS])
        chunk = bytes(size)
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            await stream.write(chunk)
        await stream.write(END)
        arrived = b""
        while len(arrived) < 8:
            arrived += await stream.read(8 - len(arrived))
        took = time.perf_counter() - began
        carried = int.from_bytes(arrived, "big") - len(END)
        row = {"row": "stream", **PEER, "size": size, "per_s": round(carried / size / took, 1)}
        say(row | {"mb_per_s": round(carried / took / 1e6, 2)})


def serve() -> None:
    end_with_stdin()
    trio.run(_serve)


def overlay(nodes: str, values: str) -> None:
    trio.run(_overlay, int(nodes), int(values))


def ping(seconds: str) -> None:
    with Second("serve") as other:
        trio.run(_ping, other["address"], float(seconds))


def stream(seconds: str, size: str) -> None:
    with Second("serve") as other:
        trio.run(_stream, other["address"], float(seconds), int(size))


def largest() -> None:
    trio.run(_largest)


def node(port: str, door: str | None = None) -> None:
    trio.run(_node, int(port), int(door) if door else None)


def about() -> None:
    say(PEER | {"does_not": DOES_NOT, "measured": MEASURED, "cannot": {}})


verbs: dict[str, Verb] = {"overlay": overlay, "ping": ping, "stream": stream, "largest": largest, "node": node}
main(verbs | {"serve": serve, "about": about})
