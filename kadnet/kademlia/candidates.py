"""Whom a walk knows: one candidate for each peer, and what has become of it. State alone: `lookup` decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from kadnet.kademlia.contact import Contact


class State(Enum):
    NEW = "not asked"
    WAITING = "asked"
    LATE = "late"
    ANSWERED = "answered"
    FAILED = "failed"


class Elsewhere:
    """Other endpoints of one peer: `others` where it can yet be asked, `earlier` where it was asked, and when."""

    __slots__ = ("earlier", "others")

    def __init__(self) -> None:
        self.others: list[Contact] = []
        self.earlier: dict[Contact, float] = {}


class Candidate:
    """One peer in a walk: where it can be asked and how far that has come."""

    __slots__ = (
        "answered_at",
        "asked_at",
        "attempt",
        "brought",
        "contact",
        "deadline",
        "elsewhere",
        "excused",
        "hop",
        "state",
        "via",
    )

    def __init__(self, contact: Contact, hop: int, via: bytes | None) -> None:
        self.contact = contact
        self.hop = hop
        self.via = via
        self.state = State.NEW
        self.attempt = 0
        self.deadline = math.inf
        self.asked_at = math.nan
        self.answered_at = math.nan
        self.brought = 0
        self.elsewhere: Elsewhere | None = None  # made when it is needed: few peers have two endpoints
        self.excused = 0  # the attempt whose timer was put off because we stood still


def run_out(waiting: Sequence[Candidate], now: float, stall: float, longest: float) -> list[Candidate]:
    """Those whose timers have run out. Where we come to look more than `stall` seconds late, timers are put off first.

    While we stood still nobody was heard: the answers lie unread. So for as long as that was, at most `longest`
    seconds, nobody is in doubt; once for each attempt, since who is always late has to judge all the same.
    """
    overdue = [candidate for candidate in waiting if candidate.deadline <= now]
    if not overdue:
        return overdue
    late = now - min([candidate.deadline for candidate in overdue])
    if late <= stall:
        return overdue
    until = now + min(late, longest)
    for candidate in waiting:
        if candidate.deadline < until and candidate.excused < candidate.attempt:
            candidate.excused = candidate.attempt
            candidate.deadline = until
    return [candidate for candidate in overdue if candidate.deadline <= now]
