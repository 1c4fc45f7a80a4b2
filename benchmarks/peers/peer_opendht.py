"""OpenDHT (C++, Debian's Python binding), plain values. Run by Debian's own interpreter, which alone has it.

A get counts as ended when the first value comes and is then told to stop; OpenDHT by itself would go on to the end of
the search, since several values may stand under one key.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import opendht  # type: ignore[import-not-found]  # lives in an environment of its own

sys.path.append(str(Path(__file__).resolve().parents[2]))  # another environment's interpreter runs this as a script

from benchmarks.peers.blocking import measure_largest, measure_overlay, serve_lines
from benchmarks.peers.driver import HOST, IN_FLIGHT, Build, Largest, Row, Second, Verb, end_with_stdin, main, say


def _version() -> str:
    """The binding does not say; Debian's list of packages does."""
    status = Path("/var/lib/dpkg/status").read_text(errors="replace")
    found = re.search(r"^Package: python3-opendht\n(?:.+\n)*?Version: (\S+)", status, re.MULTILINE)
    return found[1] if found else "unknown"


PEER: Row = {"peer": "opendht", "version": _version()}
DOES_NOT = [
    "encrypt datagrams (a value can be encrypted for one reader)",
    "sign values unless it is asked to",
    "keep values on disk through its Python binding",
    "keep a value above 10 minutes unless it is put again",
    "keep more than 8 copies of a value, and one at the putter",
]
MEASURED = [
    "its limits on rates are lifted",
    "a get ends at the first value; by itself it would ask on for others under that key",
]
CANNOT = {"stream": "it has no streams: values and notices of new values are all it carries"}

FIRST_PORT = 25000
CONTACTS = 8
JOIN_SECONDS = 60.0
SETTLE_SECONDS = 5.0
CALL_SECONDS = 5.0
_ALIVE: list[Any] = []
"""Keeps every runner to the end of the process: one that is let go waits for its open calls."""
_STORED = re.compile(r"^Storage ([0-9a-f]{40}) .*?(\d+) values", re.MULTILINE)


class Node:
    """A running node."""

    def __init__(self, port: int, door: int | None) -> None:
        config = opendht.DhtConfig()
        config.setRateLimit(-1, -1)
        self.runner = opendht.DhtRunner()
        _ALIVE.append(self.runner)
        self.runner.run(port=port, ipv4=HOST, config=config)
        self._ended: SimpleQueue[tuple[str, bytes | None]] = SimpleQueue()
        if door is not None:
            self.runner.bootstrap(HOST, str(door))

    @property
    def contacts(self) -> int:
        """Nodes in its table."""
        return int(self.runner.getRoutingTablesLog(2).count("Node "))

    def put(self, value: bytes) -> str:
        name = os.urandom(20).hex()
        done = threading.Event()
        stored: list[bool] = []

        def ended(ok: bool, _nodes: Any) -> None:
            stored.append(ok)
            done.set()

        self.runner.put(opendht.InfoHash.get(name), opendht.Value(value), ended)
        if not done.wait(CALL_SECONDS):
            raise ValueError(f"no end of the put within {CALL_SECONDS:g} s")
        if not stored[0]:
            raise ValueError("the put says that it failed")
        return name

    def get(self, key: str) -> bytes | None:
        answers: SimpleQueue[tuple[str, bytes | None]] = SimpleQueue()
        self._start(key, answers)
        try:
            return answers.get(timeout=CALL_SECONDS)[1]
        except Empty:
            return None

    def ask(self, key: str) -> None:
        self._start(key, self._ended)

    def answers(self) -> list[tuple[str, bytes | None]]:
        found = []
        try:
            found.append(self._ended.get(timeout=0.02))
            while True:
                found.append(self._ended.get_nowait())
        except Empty:
            return found

    def holds(self, key: str) -> bool:
        stored: dict[str, str] = dict(_STORED.findall(self.runner.getStorageLog()))
        place: str = opendht.InfoHash.get(key).toString().decode()
        return stored.get(place, "0") != "0"

    def _start(self, key: str, answers: SimpleQueue[tuple[str, bytes | None]]) -> None:
        first: list[bytes] = []

        def came(value: Any) -> bool:
            if not first:
                first.append(bytes(value.data))
                answers.put((key, first[0]))
            return False

        def ended(_ok: bool, _nodes: Any) -> None:
            if not first:
                answers.put((key, None))

        self.runner.get(opendht.InfoHash.get(key), came, ended)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Look every 50 ms. SystemExit when it takes too long."""
    end = time.perf_counter() + JOIN_SECONDS
    while not holds():
        if time.perf_counter() > end:
            raise SystemExit(f"opendht: {what} did not happen within {JOIN_SECONDS:g} s")
        time.sleep(0.05)


def joined(nodes: int) -> list[Node]:
    """Nodes that each know `CONTACTS` others, or all there are."""
    everyone = [Node(FIRST_PORT, None)]
    everyone += [Node(FIRST_PORT + number, FIRST_PORT) for number in range(1, nodes)]
    enough = min(CONTACTS, nodes - 1)
    wait_until(lambda: min(node.contacts for node in everyone) >= enough, f"{enough} contacts for every node")
    return everyone


def overlay(nodes: str, values: str) -> None:
    build = Build(int(nodes))
    everyone = joined(int(nodes))
    build.done()
    time.sleep(SETTLE_SECONDS)
    measure_overlay(PEER, everyone, build, int(values), lambda key: sum(node.holds(key) for node in everyone))


def largest() -> None:
    everyone = joined(16)
    time.sleep(SETTLE_SECONDS)
    measure_largest(PEER, everyone, Largest(first=4096, grain=200), os.urandom)


def serve() -> None:
    """A node that answers pings."""
    end_with_stdin()
    Node(FIRST_PORT, None)
    say({"port": FIRST_PORT})
    threading.Event().wait()


def ping(seconds: str) -> None:
    """Pings that follow each other: the end of one starts the next."""
    with Second("serve") as other:
        asker = Node(FIRST_PORT + 1, None).runner
        there = opendht.SockAddr()  # 0.0.0.0: the binding cannot name an address, and Linux takes it for this machine
        there.setFamily(socket.AF_INET)
        there.setPort(other["port"])
        answered: SimpleQueue[bool] = SimpleQueue()
        began = time.perf_counter()

        def next_one(pong: bool) -> None:
            answered.put(pong)
            if time.perf_counter() < began + float(seconds):
                asker.ping(there, next_one)

        for _ in range(IN_FLIGHT):
            asker.ping(there, next_one)
        time.sleep(float(seconds))
        took = time.perf_counter() - began
        done = sum(answered.get_nowait() for _ in range(answered.qsize()))
        say({"row": "ping", **PEER, "per_s": round(done / took, 1), "in_flight": IN_FLIGHT})


def node(port: str, door: str | None = None) -> None:
    one = Node(int(port), int(door) if door else None)
    if door:
        wait_until(lambda: one.contacts > 0, "a first contact")
    serve_lines(one)


def about() -> None:
    say(PEER | {"does_not": DOES_NOT, "measured": MEASURED, "cannot": CANNOT})


verbs: dict[str, Verb] = {
    "overlay": overlay,
    "ping": ping,
    "largest": largest,
    "node": node,
    "serve": serve,
    "about": about,
}
main(verbs)
