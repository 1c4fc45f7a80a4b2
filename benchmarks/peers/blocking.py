"""The verbs `overlay`, `largest` and `node` for libraries whose calls can be waited for one after the other.

Such a library's node is wrapped to look like `Node`; what is asked of it and how that is counted stands here, once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Protocol

from benchmarks.peers.driver import (
    GETS,
    IN_FLIGHT,
    PUTTERS,
    ROUNDS,
    Build,
    Keys,
    Largest,
    Round,
    Row,
    answer,
    one_of_many,
    quantiles,
    say,
)

ROUND_SECONDS = 30.0


class Node(Protocol):
    """One node of a peer."""

    def put(self, value: bytes) -> str:
        """Put it and wait for the end; its key. ValueError says why it did not go."""

    def get(self, key: str) -> bytes | None:
        """Ask the network and wait for the first answer."""

    def ask(self, key: str) -> None:
        """Start a get."""

    def answers(self) -> Iterable[tuple[str, bytes | None]]:
        """The gets that ended since the last call, after waiting a little for the first."""

    def holds(self, key: str) -> bool:
        """Whether this node keeps a copy of that value itself."""


def measure_overlay(
    peer: Row,
    everyone: Sequence[Node],
    build: Build,
    values: int,
    copies: Callable[[str], int],
    before_gets: Callable[[], object] = lambda: None,
) -> None:
    """Puts through `PUTTERS` nodes, then gets by the last node, in turn and in flight. `copies` counts holders."""
    put: dict[str, bytes] = {}
    put_seconds, failed = [], 0
    for number in range(values):
        value, putter = one_of_many(number), everyone[1 + number % PUTTERS]
        began = time.perf_counter()
        try:
            key = putter.put(value)
        except ValueError:
            failed += 1
            continue
        put_seconds.append(time.perf_counter() - began)
        put[key] = value
    held = [copies(key) for key in put]
    asker = everyone[-1]
    wanted = [key for key in put if not asker.holds(key)]
    before_gets()
    get_seconds, right = [], 0
    for key in wanted:
        began = time.perf_counter()
        found = asker.get(key)
        get_seconds.append(time.perf_counter() - began)
        right += found == put[key]
    flight = [_one_round(asker, put, wanted) for _ in range(ROUNDS)]
    row: Row = {"row": "overlay", **peer, **build.row()}
    row |= {"put_ms": quantiles(put_seconds), "get_ms": quantiles(get_seconds), "flight": flight}
    row |= {"in_flight": min(IN_FLIGHT, len(wanted)), "copies": median(held)}
    say(row | {"puts_failed": failed, "in_turn": {"asked": len(wanted), "right": right}})


def _one_round(asker: Node, put: dict[str, bytes], wanted: list[str]) -> Row:
    keys = Keys(wanted, max(GETS, len(wanted)))
    began: dict[str, float] = {}
    counted = Round()
    end = time.perf_counter() + ROUND_SECONDS
    while (began or not keys.ended) and time.perf_counter() < end:
        while len(began) < IN_FLIGHT and (key := keys.take()):
            began[key] = time.perf_counter()
            asker.ask(key)
        for key, value in asker.answers():
            if key in began:
                counted.note(time.perf_counter() - began.pop(key), right=value == put[key])
                keys.back(key)
    for started in began.values():
        counted.note(time.perf_counter() - started, right=False)
    return counted.row()


def measure_largest(peer: Row, everyone: Sequence[Node], search: Largest, value: Callable[[int], bytes]) -> None:
    """Values of growing size through one node, asked for by one that does not hold them."""
    for size in search.sizes():
        search.note(size, _trouble(everyone, value(size)))
    say(peer | search.row())


def _trouble(everyone: Sequence[Node], value: bytes) -> str | None:
    """How a value fails to come back whole, or None."""
    try:
        key = everyone[1].put(value)
    except ValueError as error:
        return str(error)
    asker = next((node for node in reversed(everyone) if not node.holds(key)), everyone[-1])
    return None if asker.get(key) == value else "put without an error, but did not come back"


def serve_lines(node: Node) -> None:
    """The verb `node` once the node has joined: answer each line of standard input, until it closes."""
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "put" in request:
            say({"key": node.put(bytes.fromhex(request["put"]))})
            continue
        key = request["get"]
        here, began = node.holds(key), time.perf_counter()
        value = node.get(key)
        say(answer(value, time.perf_counter() - began, here))
