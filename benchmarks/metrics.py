"""What is read from the lines: one metric is one number of one line, with its unit and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Line = dict[str, Any]


def errors(lines: Sequence[Line], who: str) -> dict[tuple[str, str], list[str]]:
    """What went wrong, by row and by whom it befell; `who` is the field that names them."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        if "error" in line and line["row"] != "environment":
            found.setdefault((line["row"], line[who]), []).append(line["error"])
    return found


@dataclass(frozen=True, slots=True)
class Metric:
    """`pick` reads the number from a line of `row`; None when the line has none."""

    key: str
    group: str
    title: str
    unit: str
    higher_is_better: bool
    row: str
    pick: Callable[[Line], float | None]


def _plain(name: str) -> Callable[[Line], float | None]:
    def pick(line: Line) -> float | None:
        found: float | None = line.get(name)
        return found

    return pick


def _of_two(name: str, at: int) -> Callable[[Line], float | None]:
    def pick(line: Line) -> float | None:
        both: Sequence[float] | None = line.get(name)
        return None if not both else both[at]

    return pick


def _rounds(name: str, of: Callable[[list[float]], float]) -> Callable[[Line], float | None]:
    def pick(line: Line) -> float | None:
        rounds = line.get("flight")
        return of([each[name] for each in rounds]) if rounds else None

    return pick


def _came_right(line: Line) -> float | None:
    rounds = line.get("flight") or []
    asked = sum(each["asked"] for each in rounds)
    return 100 * sum(each["right"] for each in rounds) / asked if asked else None


def _of_kill(part: str, name: str) -> Callable[[Line], float | None]:
    def pick(line: Line) -> float | None:
        found: float | None = line[part][name]
        return found

    return pick


def _success(part: str) -> Callable[[Line], float | None]:
    def pick(line: Line) -> float | None:
        asked = line[part]["asked"]
        return 100 * line[part]["right"] / asked if asked else None

    return pick


def _overlay(nodes: int) -> list[Metric]:
    row = group = f"overlay-{nodes}"

    def metric(
        key: str, title: str, unit: str, pick: Callable[[Line], float | None], *, higher: bool = False
    ) -> Metric:
        return Metric(f"{row} {key}", group, title, unit, higher, row, pick)

    return [
        metric("build", "build the overlay", "s", _plain("build_s")),
        metric("memory", "memory of a node", "KiB", _plain("kib_per_node")),
        metric("put p50", "put, p50", "ms", _of_two("put_ms", 0)),
        metric("put p95", "put, p95", "ms", _of_two("put_ms", 1)),
        metric("get p50", "get, p50", "ms", _of_two("get_ms", 0)),
        metric("get p95", "get, p95", "ms", _of_two("get_ms", 1)),
        metric("rate", "gets per second, 32 in flight", "/s", _rounds("gets_per_s", median), higher=True),
        metric("cpu", "CPU of a get, 32 in flight", "ms", _rounds("cpu_ms_per_get", median)),
        metric("slowest", "slowest get, 32 in flight", "ms", _rounds("slowest_ms", max)),
        metric("right", "came back right, 32 in flight", "%", _came_right, higher=True),
    ]


_KILL = [
    Metric("kill success before", "kill", "gets that came right, before", "%", True, "kill", _success("before")),
    Metric("kill success", "kill", "gets that came right, after", "%", True, "kill", _success("after")),
    Metric("kill p50 before", "kill", "get, p50, before", "ms", False, "kill", _of_kill("before", "p50_ms")),
    Metric("kill p50", "kill", "get, p50, after", "ms", False, "kill", _of_kill("after", "p50_ms")),
    Metric("kill p95", "kill", "get, p95, after", "ms", False, "kill", _of_kill("after", "p95_ms")),
    Metric("kill slowest", "kill", "slowest get, after", "ms", False, "kill", _of_kill("after", "slowest_ms")),
]
_PAIR = [
    Metric("ping", "pair", "round trips per second, 32 in flight", "/s", True, "ping", _plain("per_s")),
    Metric("messages", "pair", "messages of 1 KiB per second", "/s", True, "stream-1024", _plain("per_s")),
    Metric("throughput", "pair", "throughput in messages of 64 KiB", "MB/s", True, "stream-65536", _plain("mb_per_s")),
    Metric("largest", "pair", "largest value in the overlay", "bytes", True, "largest", _plain("bytes")),
]
_OWN = [
    Metric("tasks", "own", "round trips per second, a task for each call", "/s", True, "tasks", _plain("per_s")),
    Metric("warm", "own", "request and answer on a warm link", "µs", False, "links", _plain("warm_us")),
    Metric("hands", "own", "handshakes, both sides on one core", "/s", True, "links", _plain("handshakes_per_s")),
    Metric("idle cpu", "own", "idle node, of a core", "%", False, "idle", _plain("cpu_percent")),
    Metric("idle memory", "own", "idle node, above the imports", "MiB", False, "idle", _plain("mib_above_imports")),
]


def metrics(lines: Sequence[Line]) -> list[Metric]:
    """All metrics that these lines can have, in the order of the tables."""
    sizes = sorted({int(line["row"].partition("-")[2]) for line in lines if line["row"].startswith("overlay-")})
    return [metric for size in sizes for metric in _overlay(size)] + _KILL + _PAIR + _OWN


@dataclass(frozen=True, slots=True)
class Goal:
    """What kadnet set itself: `metric` beside `peer` as ours ÷ theirs, or alone; None as `bound`: it is only stated."""

    title: str
    metric: str
    peer: str | None
    beside: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def text(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else "(stated)"

    def met(self, figure: float) -> bool:
        low, high = self.at_least, self.at_most
        return (low is None or figure >= low) and (high is None or figure <= high)


GOALS = [
    Goal("sealed RPC/s ÷ bare unsealed loop", "ping", "bare", at_least=0.65),
    Goal("the same with a task for each call", "tasks", "bare", beside="ping"),
    Goal("sealed RPC/s ÷ `kademlia`'s plaintext ping", "ping", "kademlia", at_least=1.5),
    Goal("notices of 1 KiB/s ÷ bare trio TCP", "messages", "bare", at_least=0.4),
    Goal("request and answer on a warm link, µs", "warm", None),
    Goal("handshakes/s, both sides on one core", "hands", None),
    Goal("CPU ms per get, 32 nodes ÷ `kademlia`'s", "overlay-32 cpu", "kademlia", at_most=1),
    Goal("gets per second, 32 nodes", "overlay-32 rate", None),
    Goal("CPU ms per get, 128 nodes ÷ `kademlia`'s", "overlay-128 cpu", "kademlia", at_most=1),
    Goal("gets per second, 128 nodes", "overlay-128 rate", None),
    Goal("idle node, % of a core", "idle cpu", None, at_most=1),
    Goal("idle node, MiB above the imports", "idle memory", None, at_most=40),
]
