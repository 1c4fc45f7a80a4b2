"""Counters: plain numbers, one set per node, no globals.

A room keeps its own slots dataclass of integers and adds to them; `snapshot` reads one for `status`, for the exporter
and for tests. Reasons that come from a closed list of ours are counted in a `Reasons`; no text of a peer's is a name.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class Reasons(dict[str, int]):
    """How often each reason occurred. Bounded: past `limit` different ones, the rest is counted as "other"."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int = 64) -> None:
        super().__init__()
        self._limit = limit

    def add(self, reason: str) -> None:
        if reason not in self and len(self) >= self._limit:
            reason = "other"
        self[reason] = self.get(reason, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.values())


def snapshot(counters: Any) -> dict[str, int | dict[str, int]]:
    """The numbers of a counters dataclass by name."""
    values: dict[str, int | dict[str, int]] = {}
    for field in fields(counters):
        value = getattr(counters, field.name)
        values[field.name] = dict(value) if isinstance(value, Reasons) else value
    return values
