"""Lookups that are told anything: answers nobody asked for, failures of peers that answered, times out of step.

No world behind it, so nothing here is likely. What holds all the same: it ends, nobody is asked twice at one endpoint
with one attempt, and whoever is in the result was asked and answered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.disjoint import DisjointLookup
from kadnet.kademlia.lookup import Ask, Lookup, LookupSettings

OWN = bytes(31) + b"\xff"
PEERS = [Contact(bytes([n]) * 32, Endpoint(f"10.0.{n}.{place}", 1)) for n in range(24) for place in range(4)]
STRANGERS = [Contact(n.to_bytes(32, "big"), Endpoint("10.9.9.9", 1)) for n in range(300)]
SETTINGS = LookupSettings(k=6, parallelism=2, arrived_parallelism=5, max_candidates=40)

steps = st.lists(
    st.tuples(
        st.sampled_from(["reply", "reply", "fail", "wait", "somebody replies", "somebody fails"]),
        st.integers(0, 2**16),  # who
        st.sampled_from([0, 1, 3, 16, 300]),  # how many it names
        st.booleans(),  # whether it is said which endpoint was asked
    ),
    max_size=60,
)


@dataclass
class Ordeal:
    """A machine, and what it was told."""

    lookup: Lookup | DisjointLookup
    now: float = 0.0
    asks: list[Ask] = field(default_factory=list)
    replied: set[bytes] = field(default_factory=set)
    wake_at: float | None = None

    def advance(self) -> None:
        asks, self.wake_at = self.lookup.advance(self.now)
        self.asks += asks
        assert self.lookup.done or self.wake_at is not None
        assert self.lookup.done or self.wake_at > self.now  # type: ignore[operator]  # not None, as was just said

    def tell(self, what: str, who: int, count: int, told_where: bool) -> None:
        asked = [ask.contact for ask in self.asks] if what in ("reply", "fail") else PEERS
        if what == "wait" or not asked:
            self.now += who / 2**16
            return
        contact = asked[who % len(asked)]
        at = contact if told_where else None
        if "repl" in what:
            named = random.Random(who).sample(STRANGERS + PEERS, count)
            self.replied.add(contact.id)
            self.lookup.on_reply(contact.id, [Contact(OWN, contact.endpoint), *named], self.now, at)
        else:
            self.lookup.on_failure(contact.id, self.now, at)


def through(lookup: Lookup | DisjointLookup, told: list[tuple[str, int, int, bool]]) -> Ordeal:
    """Tell it everything, then nothing more until it has ended."""
    ordeal = Ordeal(lookup)
    ordeal.advance()
    for step in told:
        ordeal.tell(*step)
        ordeal.advance()
    for _ in range(2000):
        if lookup.done:
            return ordeal
        ordeal.now = ordeal.wake_at or 0.0
        ordeal.advance()
    raise AssertionError("it does not end")


def machine(paths: int) -> Lookup | DisjointLookup:
    seeds = PEERS[: 2 * SETTINGS.k]
    if paths == 0:
        return Lookup(2**255, seeds, SETTINGS, own_id=OWN, timeout=lambda _: 0.25, now=0.0)
    return DisjointLookup(2**255, seeds, SETTINGS, own_id=OWN, timeout=lambda _: 0.25, now=0.0, paths=paths)


kinds = st.sampled_from([0, 0, 1, 3])  # 0: the plain lookup


@given(kinds, steps)
def test_every_walk_ends_whatever_is_answered_fails_or_lies(paths: int, told: list[tuple[str, int, int, bool]]) -> None:
    ordeal = through(machine(paths), told)
    most = max(paths, 1) * SETTINGS.max_candidates * SETTINGS.max_endpoints * SETTINGS.attempts
    assert len(ordeal.asks) == ordeal.lookup.queries <= most
    assert ordeal.lookup.advance(ordeal.now + 10) == ([], None)


@given(kinds, steps)
def test_nobody_is_asked_twice_whatever_is_told(paths: int, told: list[tuple[str, int, int, bool]]) -> None:
    asked = through(machine(paths), told).asks
    assert len({(ask.contact, ask.attempt) for ask in asked}) == len(asked)
    assert OWN not in {ask.contact.id for ask in asked}


@given(kinds, steps)
def test_the_result_is_of_those_who_were_asked_and_replied(paths: int, told: list[tuple[str, int, int, bool]]) -> None:
    ordeal = through(machine(paths), told)
    found = ordeal.lookup.closest(1000)
    distances = [contact.position ^ 2**255 for contact in found]
    assert distances == sorted(set(distances))
    assert {contact.id for contact in found} <= ordeal.replied
    assert set(found) <= {ask.contact for ask in ordeal.asks}
