"""Timers that run out, and those that run out while nobody could be heard."""

from __future__ import annotations

from kadnet.kademlia.candidates import Candidate, run_out
from kadnet.kademlia.lookup import Lookup, LookupSettings
from tests.unit.kademlia.distances import OWN, RTO, peer, peers

STALL, LONGEST = 0.02, 0.5


def waiting(*deadlines: float) -> list[Candidate]:
    """One candidate for each deadline, asked once."""
    found = []
    for number, deadline in enumerate(deadlines):
        candidate = Candidate(peer(number + 1), 1, None)
        candidate.attempt, candidate.deadline = 1, deadline
        found.append(candidate)
    return found


def test_a_timer_that_is_looked_at_in_time_runs_out() -> None:
    first, second, third = waiting(1.0, 1.01, 2.0)
    assert run_out([first, second, third], 1.015, STALL, LONGEST) == [first, second]
    assert (first.deadline, third.deadline) == (1.0, 2.0)
    assert run_out([], 1.0, STALL, LONGEST) == []


def test_for_as_long_as_we_stood_still_nobody_is_in_doubt() -> None:
    """Those too whose timers were still to run out: their answers lie unread as well."""
    first, second, third = waiting(1.0, 1.3, 2.0)
    assert run_out([first, second, third], 1.2, STALL, LONGEST) == []
    assert [first.deadline, second.deadline, third.deadline] == [1.4, 1.4, 2.0]


def test_after_a_long_sleep_nobody_is_waited_for_longer_than_the_longest_stall() -> None:
    (only,) = waiting(1.0)
    assert run_out([only], 3600.0, STALL, LONGEST) == []
    assert only.deadline == 3600.0 + LONGEST


def test_whoever_is_always_late_judges_all_the_same_once_for_each_attempt() -> None:
    (only,) = waiting(1.0)
    assert run_out([only], 1.2, STALL, LONGEST) == []
    assert run_out([only], 1.6, STALL, LONGEST) == [only]
    only.attempt, only.deadline = 2, 2.0
    assert run_out([only], 2.2, STALL, LONGEST) == []


def test_a_lookup_that_comes_late_to_its_timers_asks_nobody_again_before_it_has_read_the_answers() -> None:
    settings = LookupSettings(k=3)
    lookup = Lookup(0, peers(1, 2, 3), settings, own_id=OWN, timeout=lambda contact: RTO, now=0.0)
    lookup.advance(0.0)
    late = RTO + 0.2
    asks, wake_at = lookup.advance(late)
    assert asks == []
    assert wake_at == late + 0.2
    for who in (1, 2):
        lookup.on_reply(peer(who).id, (), late + 0.01)
    asks, _ = lookup.advance(wake_at)
    assert [(ask.contact.position, ask.attempt) for ask in asks] == [(3, 2)]
