"""Whom it is no use to ask just now: a peer that let several requests pass without a word.

The dead are handed on for minutes after their end, and each walk would wait for them again. So a walk leaves out who is
silent; a single request still asks them. Pure: whoever sends says what was sent and what was answered.
"""

from __future__ import annotations

from kadnet.identity.address import Endpoint


class Silence:
    """One peer's silence: transmissions to `where` since its last answer, when the first and the last of them went out.

    All of them to one endpoint: whoever lies about where a peer lives silences it there and nowhere else.
    """

    __slots__ = ("last", "since", "unanswered", "where")

    def __init__(self) -> None:
        self.unanswered = 0
        self.since = 0.0
        self.last = 0.0
        self.where: Endpoint | None = None

    def asked(self, where: Endpoint, now: float) -> None:
        """A request went out to the peer at `where`."""
        if not self.unanswered or self.where != where:
            self.unanswered = 0
            self.since = now
            self.where = where
        self.unanswered += 1
        self.last = now

    def answered(self) -> None:
        """It answered."""
        self.unanswered = 0

    def lasts(self, where: Endpoint, now: float, *, timeout: float, heard_at: float, memory: float) -> bool:
        """Whether asking it again would only waste the time of a walk.

        It left at least two transmissions unanswered, for longer than both of their timers (`timeout` seconds each),
        while somebody else did answer (at `heard_at`, so it is not we who are cut off). After `memory` seconds without
        a request it deserves another chance.
        """
        return (
            self.unanswered >= 2
            and self.where == where
            and now - self.last < memory
            and now - self.since > 2 * timeout
            and heard_at > self.since
        )
