"""What SIGKILL of some of the nodes does to gets: each node is a process of its own, driven by lines over its pipes.

    python kill.py PROCESSES KILLED VALUES COMMAND ...      COMMAND: a driver, before its verb `node`

Half of the values are asked for before the kill, the others right after it, so that no copy made by an earlier get
helps. Nodes that will survive ask, several at a time, each for values that it does not hold. Nobody is told who died.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Timer
from typing import Any

ASKERS = 8
"""Gets at a time: a peer that waits out dead nodes one by one would take minutes otherwise."""
STARTERS = 4
SETTLE = 2.0
_PUTTERS = 8
_START_WITHIN = 90.0
_ANSWER_WITHIN = 60.0


class Silent(Exception):
    """A node that did not answer in time, or has ended."""


class Node:
    """One process of the driver."""

    def __init__(self, command: list[str], port: int, door: int | None) -> None:
        self.turn = Lock()
        command = [*command, "node", str(port), *([] if door is None else [str(door)])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        self.read(_START_WITHIN)

    def read(self, within: float) -> dict[str, Any]:
        """Its next line. A node that keeps silent is killed. Raises Silent."""
        watchdog = Timer(within, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise Silent
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, request: dict[str, str]) -> dict[str, Any]:
        """The answer to one request. Raises Silent."""
        assert self.process.stdin is not None
        with self.turn:
            try:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                raise Silent from None
            return self.read(_ANSWER_WITHIN)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has, for UDP and TCP."""
    found: list[int] = []
    held = []
    while len(found) < count:
        stream, datagrams = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        held += [stream, datagrams]
        stream.bind(("127.0.0.1", 0))
        try:
            datagrams.bind(stream.getsockname())
        except OSError:
            continue
        found.append(stream.getsockname()[1])
    for each in held:
        each.close()
    return found


def _get(nodes: list[Node], key: str, value: str) -> tuple[float, bool] | None:
    """The milliseconds of a get by the first of `nodes` that does not hold it, and whether it came right.

    None when all of them hold it: then there is nothing to count.
    """
    for node in nodes:
        began = time.perf_counter()
        try:
            answer = node.ask({"get": key})
        except Silent:
            return 1000 * (time.perf_counter() - began), False
        if not answer["held"]:
            return answer["ms"], answer["value"] == value
    return None


def _at(times: list[float], part: float) -> float | None:
    """Of sorted times the one that `part` of them do not exceed."""
    return times[min(len(times) - 1, int(part * len(times)))] if times else None


def _asked(nodes: list[Node], keys: list[tuple[str, str]], chance: random.Random) -> dict[str, Any]:
    """Get each value through a node that does not hold it: success and latencies in ms."""
    orders = [chance.sample(nodes, len(nodes)) for _ in keys]
    with ThreadPoolExecutor(ASKERS) as pool:
        results = pool.map(lambda order, wanted: _get(order, *wanted), orders, keys)
        done = [result for result in results if result is not None]
    times = sorted(spent for spent, right in done if right)
    return {
        "asked": len(done),
        "right": len(times),
        "p50_ms": _at(times, 0.5),
        "p95_ms": _at(times, 0.95),
        "p99_ms": _at(times, 0.99),
        "slowest_ms": max((spent for spent, _ in done), default=None),
    }


def measure(command: list[str], processes: int, killed: int, values: int, started: list[Node]) -> dict[str, Any]:
    """Build, put, ask, kill, ask. `started` is given every node as it stands, for the caller to end."""
    chance = random.Random(int.from_bytes(os.urandom(8), "big"))
    ports = free_ports(processes)

    def start(port: int) -> Node:
        node = Node(command, port, None if port == ports[0] else ports[0])
        started.append(node)
        return node

    began = time.perf_counter()
    first = start(ports[0])
    with ThreadPoolExecutor(STARTERS) as pool:
        nodes = [first, *pool.map(start, ports[1:])]
    build = time.perf_counter() - began
    time.sleep(SETTLE)
    blobs = [os.urandom(100).hex() for _ in range(values)]
    putters = chance.sample(nodes, min(_PUTTERS, len(nodes)))
    keys = [(putters[at % len(putters)].ask({"put": blob})["key"], blob) for at, blob in enumerate(blobs)]
    victims = chance.sample(nodes, killed)
    living = [node for node in nodes if node not in victims]
    before = _asked(living, keys[: values // 2], chance)
    for node in victims:
        node.process.kill()
    for node in victims:
        node.process.wait()
    after = _asked(living, keys[values // 2 :], chance)
    return {"processes": processes, "killed": killed, "build_s": build, "before": before, "after": after}


def main() -> None:
    processes, killed, values = (int(number) for number in sys.argv[1:4])
    started: list[Node] = []
    try:
        line = measure(sys.argv[4:], processes, killed, values, started)
    except Silent:
        raise SystemExit("a node did not start, or did not answer a put") from None
    finally:
        for node in started:
            node.process.kill()
        for node in started:
            node.process.wait()
    print(json.dumps({"row": "kill", **line}))


if __name__ == "__main__":
    main()
