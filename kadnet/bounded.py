"""A dict with a bound: when it is full, what was put in first goes. For caches, where forgetting costs only work."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(dict[K, V]):
    """At most `bound` entries. Setting an entry that is there keeps its place; pop and set again to renew it."""

    __slots__ = ("_bound",)

    def __init__(self, bound: int) -> None:
        super().__init__()
        self._bound = bound

    def __setitem__(self, key: K, value: V) -> None:
        if len(self) >= self._bound and key not in self:
            del self[next(iter(self))]
        super().__setitem__(key, value)
