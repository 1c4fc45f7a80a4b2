"""What is promised: each figure with its unit and its goal, in the order of the tables.

A figure is read from the lines of one row, by its name; with `over` it is divided by another one of the same repeat,
which is how a promise about a growth, or about somebody else's cost, is kept to one run.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

OURS: Final = "kadnet"

SIDES: Final = MappingProxyType(
    {
        OURS: "kadnet",
        "model": "the model",
        "k8-a3-2s": "k8-a3-2s",
        "k20-a3-5s": "k20-a3-5s",
        "k20-a10-10s": "k20-a10-10s",
        "patient": "timers of 2 s",
        "libtorrent": "libtorrent",
        "kademlia": "kademlia",
        "bare": "bare loop",
    }
)
"""Who is measured, and what people call it, in the order of the columns."""


class Over(NamedTuple):
    """What a figure is divided by. `side` None: the side's own."""

    row: str
    side: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One promise. Without a bound it is only stated, beside the others that are promised."""

    group: str
    row: str
    name: str
    title: str
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    over: Over | None = None

    @property
    def key(self) -> str:
        """Its name in reasons, dated figures and JSON."""
        return f"{self.row} {self.name}" + (f" ÷ {self.over.row} {self.over.name}" if self.over else "")

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}"
        return f"≤ {self.at_most:,g}" if self.at_most is not None else "(stated)"

    def miss(self, value: float) -> float:
        """By what part of the bound the value misses it; 0 when it is met, infinity where nothing came."""
        if self.at_most is not None:
            return max(0.0, value / self.at_most - 1)
        return max(0.0, 1 - value / self.at_least) if self.at_least is not None else 0.0


GROUPS: Final = MappingProxyType(
    {
        "world": "World W: 1,000 nodes",
        "hard": "The hard world",
        "thousands": "Ten thousand nodes",
        "internet": "200 whole nodes on the virtual internet",
        "put": "Storing",
        "stragglers": "Stragglers",
        "kill": "After SIGKILL of 30 of 100 real nodes",
        "get": "What a get costs",
        "rpc": "Sealed requests",
        "memory": "Memory",
        "stages": "Where the microseconds of a get go",
    }
)
"""The tables: what `--only` takes, and their titles."""

_RTT, _DIRECT = "× RTT", "× direct"


def _lookups(row: str) -> list[Figure]:
    return [
        Figure(row, row, "first_p50_rtt", "first value, p50", _RTT, at_most=1.0),
        Figure(row, row, "first_p95_rtt", "first value, p95", _RTT, at_most=2.2),
        Figure(row, row, "first_p99_rtt", "first value, p99", _RTT, at_most=3.0),
        Figure(row, row, "whole_p50", "k closest complete, p50", "s", at_most=1.1),
        Figure(row, row, "whole_p95", "k closest complete, p95", "s", at_most=1.5),
        Figure(row, row, "recall", "recall of the k closest", "%", at_least=98),
        Figure(row, row, "messages", "messages of a lookup", at_most=30),
        Figure(row, row, "hops", "hops to the first value"),
        Figure(row, row, "success", "values found", "%"),
    ]


FIGURES: Final = (
    *_lookups("world"),
    Figure("hard", "hard", "first_p50_rtt", "first value, p50", _RTT),
    Figure("hard", "hard", "first_p95_rtt", "first value, p95", _RTT),
    Figure("hard", "hard", "first_p99_rtt", "first value, p99", _RTT, at_most=4.0),
    Figure("hard", "hard", "whole_p95", "k closest complete, p95", "s"),
    Figure("hard", "hard", "recall", "recall of the k closest", "%"),
    Figure("hard", "hard", "success", "values found", "%"),
    Figure("thousands", "warm", "first_p50_direct", "warm node: first value, p50", _DIRECT, at_most=1.5),
    Figure("thousands", "warm", "hops", "warm node: mean hops", at_most=1.3),
    Figure("thousands", "warm", "messages", "warm node: messages of a lookup"),
    Figure("thousands", "cold", "first_p50_direct", "cold node: first value, p50", _DIRECT, at_most=2.5),
    Figure("thousands", "cold", "first_p99_rtt", "cold node: first value, p99", _RTT),
    Figure("thousands", "cold", "hops", "cold node: mean hops"),
    Figure("thousands", "cold", "messages", "messages of a lookup among 10,000"),
    Figure("thousands", "few", "messages", "messages of a lookup among 500"),
    Figure("thousands", "cold", "messages", "messages, 10,000 ÷ 500", at_most=1.35, over=Over("few", None, "messages")),
    *_lookups("internet"),
    Figure("put", "put", "put_p50", "put, p50", "s", at_most=0.6),
    Figure("put", "put", "put_p95", "put, p95", "s", at_most=1.2),
    Figure("put", "put", "put_replicas", "replicas after 5 s ÷ k", at_least=0.9),
    Figure("put", "put", "put_messages", "messages of a put"),
    Figure("put", "put", "size_error_p50", "size of the network, error from 16 lookups, p50", "%", at_most=20),
    Figure("put", "put", "size_error_p95", "the same, p95", "%"),
    Figure("stragglers", "silent", "p50_s", "lookup beside α − 1 silent, p50", "s"),
    Figure("stragglers", "silent", "slowest_s", "the same, slowest", "s"),
    Figure("stragglers", "silent", "worst", "the same ÷ (short timer + 2 RTT), worst", at_most=1.0),
    Figure("stragglers", "apart", "slowest_s", "with round trips that differ: slowest", "s"),
    Figure("stragglers", "apart", "worst", "the same ÷ (short timer + 2 of that asker's median RTT), worst"),
    Figure("stragglers", "threefold", "misjudged", "RTT × 3: late answers taken for failures", "%", at_most=1.0),
    Figure("kill", "kill", "before_p50_ms", "get, p50, before", "ms"),
    Figure("kill", "kill", "after_p50_ms", "get, p50, after", "ms"),
    Figure(
        "kill",
        "kill",
        "after_p50_ms",
        "get, p50, after ÷ before",
        at_most=2.0,
        over=Over("kill", None, "before_p50_ms"),
    ),
    Figure("kill", "kill", "after_p99_ms", "get, p99, after", "ms", at_most=500),
    Figure("kill", "kill", "success", "gets that came right, after", "%"),
    Figure("get", "blobs", "cpu_ms", "CPU of a get of a blob", "ms"),
    Figure(
        "get",
        "blobs",
        "cpu_ms",
        "CPU of a get of a blob ÷ libtorrent's",
        at_most=1.0,
        over=Over("blobs", "libtorrent", "cpu_ms"),
    ),
    Figure("get", "blobs", "gets_per_s", "gets of a blob", "/s", at_least=3500),
    Figure("get", "blobs", "slowest_ms", "slowest get of a blob", "ms", at_most=100),
    Figure("get", "entries", "cpu_ms", "CPU of a get of an entry", "ms"),
    Figure("get", "entries", "gets_per_s", "gets of an entry", "/s"),
    Figure("get", "entries", "slowest_ms", "slowest get of an entry", "ms"),
    Figure("rpc", "rpc", "per_s", "round trips, 32 in flight", "/s"),
    Figure("rpc", "rpc", "per_s", "sealed ÷ bare loop", at_least=0.65, over=Over("rpc", "bare", "per_s")),
    Figure("memory", "memory", "kib_memory", "a node, records in memory", "KiB", at_most=400),
    Figure("memory", "memory", "kib_disk", "a node, records on disk", "KiB", at_most=700),
    Figure("memory", "memory", "kib_cache", "a full contact cache (8,192), beside it", "KiB"),
    Figure("memory", "blobs", "kib", "a node among those of the gets, records in memory", "KiB"),
)

ROWS: Final = frozenset(figure.row for figure in FIGURES) | {"stages"}
"""The rows that lines may have."""


def rows_of(group: str) -> set[str]:
    """The rows whose figures stand in a table."""
    return {figure.row for figure in FIGURES if figure.group == group}


DATED: Final = MappingProxyType(
    {
        "kill after_p99_ms": {"kademlia": "5,006"},
        "blobs cpu_ms": {"libtorrent": "0.25–0.27"},
        "blobs gets_per_s": {"libtorrent": "1,000", "kademlia": "2,200"},
        "blobs slowest_ms": {"libtorrent": "2,000"},
    }
)
"""Of 2026-11-21, taken with other scripts: what to expect of a control that cannot be installed here."""
