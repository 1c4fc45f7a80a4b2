"""Budgets: a token bucket, and one token bucket per address prefix under one for the whole node.

What strangers may cost is bounded here, by where they come from and never by who they say they are: IDs are free,
addresses are not. A bucket holds `burst` tokens and regains `rate` a second, so in any window of t seconds at most
burst + rate * t pass. Which prefix counts (/24 or /48) is the caller's matter; keys are opaque bytes.

The map of prefixes is bounded. What falls out of it starts again with a full burst; who cycles through prefixes to get
that still meets the node's own bucket, which is never forgotten.
"""

from __future__ import annotations

from collections import OrderedDict


class TokenBucket:
    """At most `burst` at once and `rate` a second. Starts full."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None  # when the tokens were last counted; a clock may start anywhere

    def allow(self, now: float, cost: float = 1.0) -> bool:
        """Takes `cost` tokens when there are that many. A `now` before the last one adds nothing."""
        tokens = self._tokens
        if self._at is None:
            self._at = now
        elif now > self._at:
            tokens = min(self._burst, tokens + (now - self._at) * self._rate)
            self._at = now
        if tokens < cost:
            self._tokens = tokens
            return False
        self._tokens = tokens - cost
        return True

    def give_back(self, cost: float = 1.0) -> None:
        """Undoes an `allow` whose work was not done after all."""
        self._tokens = min(self._burst, self._tokens + cost)


class PrefixBudgets:
    """A token bucket per prefix, least recently used forgotten first, and one for the node."""

    __slots__ = ("_burst", "_max_prefixes", "_node", "_prefixes", "_rate")

    def __init__(self, rate: float, burst: float, node_rate: float, node_burst: float, max_prefixes: int) -> None:
        self._rate = rate
        self._burst = burst
        self._node = TokenBucket(node_rate, node_burst)
        self._prefixes: OrderedDict[bytes, TokenBucket] = OrderedDict()
        self._max_prefixes = max_prefixes

    def __len__(self) -> int:
        return len(self._prefixes)

    def allow(self, prefix: bytes, now: float) -> bool:
        """One thing from `prefix`: first its own budget, then the node's, so a noisy prefix spends only its own."""
        bucket = self._prefixes.get(prefix)
        if bucket is None:
            bucket = self._prefixes[prefix] = TokenBucket(self._rate, self._burst)
            if len(self._prefixes) > self._max_prefixes:
                self._prefixes.popitem(last=False)
        else:
            self._prefixes.move_to_end(prefix)
        if not bucket.allow(now):
            return False
        if self._node.allow(now):
            return True
        bucket.give_back()  # the node was busy with others: that is not this prefix's debt
        return False
