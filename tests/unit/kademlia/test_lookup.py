from __future__ import annotations

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.lookup import Ask, Lookup, LookupSettings
from kadnet.kademlia.outcome import ARRIVED, ENOUGH, NOBODY_LEFT, STOPPED
from tests.unit.kademlia.distances import OWN, RTO, peer, peers


class Walk:
    """A lookup towards 0, its clock, and what it has asked."""

    def __init__(self, *seeds: int | Contact, quorum: float = 1.0, **settings: int) -> None:
        wanted = LookupSettings(quorum=quorum, **settings)
        self.lookup = Lookup(0, peers(*seeds), wanted, own_id=OWN, timeout=lambda contact: RTO, now=0.0)
        self.wake_at: float | None = None

    def advance(self, now: float = 0.0) -> list[tuple[int, int]]:
        """(distance, attempt) of each Ask."""
        return [(ask.contact.position, ask.attempt) for ask in self.asks(now)]

    def asks(self, now: float = 0.0) -> list[Ask]:
        asks, self.wake_at = self.lookup.advance(now)
        return asks

    def reply(self, who: int, *brought: int | Contact, now: float = 0.0, at: Contact | None = None) -> None:
        self.lookup.on_reply(peer(who).id, peers(*brought), now, at)

    def fail(self, who: int, now: float = 0.0, at: Contact | None = None) -> None:
        self.lookup.on_failure(peer(who).id, now, at)

    @property
    def closest(self) -> list[int]:
        return [contact.position for contact in self.lookup.closest(1000)]


def test_the_closest_are_asked_first_and_no_more_than_the_parallelism() -> None:
    walk = Walk(50, 10, 40, 20, 30)
    assert walk.advance() == [(10, 1), (20, 1), (30, 1)]
    assert walk.wake_at == RTO
    assert walk.advance() == []
    assert walk.wake_at == RTO


def test_every_answer_and_every_failure_frees_a_slot_at_once() -> None:
    walk = Walk(10, 20, 30, 40, 50, 60)
    walk.advance()
    walk.reply(20, now=0.1)
    assert walk.advance(0.1) == [(40, 1)]
    assert walk.wake_at == RTO
    walk.fail(10, now=0.2)
    assert walk.advance(0.2) == [(50, 1)]
    walk.reply(30, 5, now=0.3)
    assert walk.advance(0.3) == [(5, 1)]
    assert walk.wake_at == 0.1 + RTO


def test_the_short_timer_frees_the_slot_and_asks_once_more() -> None:
    walk = Walk(10, 20, 30, 40, 50, parallelism=2)
    assert walk.advance() == [(10, 1), (20, 1)]
    assert walk.advance(RTO - 0.001) == []
    # Two slots that are free again, and one more beside each who is asked in the stead of one in doubt.
    assert sorted(walk.advance(RTO)) == [(10, 2), (20, 2), (30, 1), (40, 1), (50, 1)]
    assert walk.wake_at == 2 * RTO


def test_attempts_exhausted_make_a_peer_late_and_nobody_waits_for_it() -> None:
    walk = Walk(10)
    assert walk.advance(0.0) == [(10, 1)]
    assert walk.advance(RTO) == [(10, 2)]
    assert not walk.lookup.done
    assert walk.advance(2 * RTO) == []
    assert walk.lookup.reason == NOBODY_LEFT
    assert walk.wake_at is None
    assert walk.lookup.outcome().trace[0].state == "late"


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_peer_is_asked_as_often_as_the_settings_say(attempts: int) -> None:
    walk = Walk(10, attempts=attempts)
    asked = [ask for number in range(6) for ask in walk.advance(number * RTO)]
    assert asked == [(10, number + 1) for number in range(attempts)]


def test_in_the_stead_of_one_in_doubt_the_next_closest_is_asked_at_once() -> None:
    walk = Walk(10, 20, 30, 40, k=2)
    assert walk.advance() == [(10, 1), (20, 1)]
    walk.reply(20, now=0.5)
    assert walk.advance(0.5) == []
    assert sorted(walk.advance(RTO)) == [(10, 2), (30, 1)]
    walk.reply(30, now=1.5)
    assert walk.advance(1.5) == []
    assert not walk.lookup.done  # the one in doubt is still waited for, until its attempts are exhausted
    walk.advance(2 * RTO)
    assert walk.lookup.reason == ARRIVED
    assert walk.closest == [20, 30]


@pytest.mark.parametrize(("quorum", "reason"), [(1.0, None), (0.76, None), (0.75, ENOUGH), (0.5, ENOUGH)])
def test_a_quorum_of_the_closest_is_enough_when_all_others_are_in_doubt(quorum: float, reason: str | None) -> None:
    walk = Walk(10, 20, 30, 40, k=4, parallelism=4, quorum=quorum)
    walk.advance()
    for distance in (10, 30, 40):
        walk.reply(distance, now=0.5)
    walk.advance(RTO - 0.001)
    assert not walk.lookup.done  # its first timer still runs
    walk.advance(RTO)
    assert walk.lookup.reason == reason


def test_a_late_answer_still_counts() -> None:
    walk = Walk(10, 20, parallelism=1, k=2)
    walk.advance(0.0)
    assert sorted(walk.advance(RTO)) == [(10, 2), (20, 1)]
    walk.advance(2 * RTO)  # 10 is late now; 20 has one attempt left
    walk.reply(10, 5, now=2.5)
    assert walk.advance(2.5) == [(5, 1)]
    assert walk.closest == [10]


def test_a_peer_that_failed_is_skipped_and_the_next_takes_its_place() -> None:
    walk = Walk(10, 20, 30, k=2, parallelism=3)
    assert walk.advance() == [(10, 1), (20, 1)]
    walk.fail(10)
    assert walk.advance() == [(30, 1)]
    walk.reply(20)
    walk.reply(30)
    walk.advance()
    assert walk.lookup.reason == ARRIVED
    assert walk.closest == [20, 30]


def test_it_ends_when_the_k_closest_have_answered() -> None:
    walk = Walk(10, 20, 30, 40, k=2, parallelism=2)
    walk.advance()
    walk.reply(10)
    assert walk.advance() == []  # the third is not among the two closest
    assert not walk.lookup.done
    walk.reply(20)
    assert walk.advance() == []
    assert (walk.lookup.reason, walk.wake_at) == (ARRIVED, None)


def test_it_ends_when_nobody_is_left() -> None:
    walk = Walk(10, 20)
    walk.advance()
    walk.reply(10)
    walk.fail(20)
    walk.advance()
    assert walk.lookup.reason == NOBODY_LEFT
    nobody = Walk()
    assert nobody.advance() == []
    assert nobody.lookup.reason == NOBODY_LEFT
    assert nobody.lookup.outcome().closest == ()


def test_an_answer_from_farther_out_than_the_k_closest_is_not_waited_for() -> None:
    walk = Walk(30, k=1, parallelism=2)
    walk.advance()
    walk.reply(30, 20)
    assert walk.advance() == [(20, 1)]
    walk.reply(20, 10)
    assert walk.advance() == [(10, 1)]
    walk.reply(10)
    walk.advance()
    assert walk.lookup.reason == ARRIVED
    assert walk.lookup.outcome().closest == (peer(10),)


def test_when_answers_bring_nobody_closer_the_rest_are_asked_at_once() -> None:
    walk = Walk(*range(10, 170, 10), parallelism=3, arrived_parallelism=8)
    assert walk.advance() == [(10, 1), (20, 1), (30, 1)]
    walk.reply(10)
    walk.reply(20)
    assert walk.advance() == [(40, 1), (50, 1)]
    walk.reply(30, 35)  # nobody closer than the closest known: the third in a row
    assert walk.advance() == [(distance, 1) for distance in (35, 60, 70, 80, 90, 100)]


def test_an_answer_that_brings_somebody_closer_ends_the_arrival() -> None:
    walk = Walk(*range(10, 170, 10), parallelism=2, arrived_parallelism=8)
    walk.advance()
    walk.reply(10)
    walk.reply(20, 5)
    assert walk.advance() == [(5, 1), (30, 1)]


def test_another_endpoint_is_tried_when_the_first_does_not_answer() -> None:
    walk = Walk(10)
    first, second = peer(10), peer(10, "192.0.2.2")
    walk.lookup.on_reply(first.id, [], 0.0)  # not asked yet: changes nothing
    assert [ask.contact for ask in walk.asks()] == [first]
    walk.lookup._learn(second, 2)
    walk.fail(10)
    assert walk.asks() == [Ask(second, 1)]
    assert walk.asks(RTO) == [Ask(second, 2)]
    walk.reply(10, now=1.5)
    walk.advance(1.5)
    assert walk.lookup.outcome().closest == (second,)


def two_places(**settings: int) -> tuple[Walk, Contact, Contact]:
    """10 was late where the walk first asked it, and 20 named another place."""
    walk = Walk(10, 20, attempts=1, **settings)
    first, second = peer(10), peer(10, "192.0.2.2")
    walk.advance()
    walk.reply(20, second)
    assert walk.asks(RTO) == [Ask(second, 1)]
    return walk, first, second


def test_a_late_peer_is_asked_where_others_say_it_is() -> None:
    two_places()


def test_a_failure_at_the_old_endpoint_says_nothing_about_the_new_one() -> None:
    walk, first, second = two_places()
    walk.fail(10, RTO + 0.1, at=first)
    walk.advance(RTO + 0.1)
    assert not walk.lookup.done
    walk.reply(10, now=RTO + 0.2, at=second)
    walk.advance(RTO + 0.2)
    assert walk.lookup.outcome().closest == (second, peer(20))


def test_a_late_answer_from_the_old_endpoint_shows_where_the_peer_is() -> None:
    walk, first, _second = two_places()
    walk.reply(10, now=RTO + 0.1, at=first)
    walk.advance(RTO + 0.1)
    outcome = walk.lookup.outcome()
    assert outcome.closest == (first, peer(20))
    assert outcome.closest[0].endpoint == first.endpoint
    assert outcome.trace[0].rtt == RTO + 0.1


def test_a_late_answer_counts_before_the_new_endpoint_is_asked() -> None:
    walk = Walk(10, 20, attempts=1, parallelism=2, k=2)
    first, second = peer(10), peer(10, "192.0.2.2")
    walk.advance()
    walk.lookup._learn(second, 2)
    walk.reply(20, 1, 2, now=0.5)  # two that are closer: no slot will be left for the second place of 10
    assert walk.advance(0.5) == [(1, 1)]
    assert walk.advance(RTO) == [(2, 1)]
    walk.reply(10, now=1.1, at=first)
    assert walk.closest == [10, 20]


def test_an_endpoint_that_was_tried_is_not_tried_again() -> None:
    walk, first, second = two_places()
    walk.lookup._learn(first, 2)
    walk.lookup._learn(second, 2)
    assert walk.asks(2 * RTO) == []
    assert walk.lookup.done


def test_only_a_few_endpoints_of_one_peer_are_tried() -> None:
    walk = Walk(10, attempts=1, max_endpoints=3)
    for host in range(2, 30):
        walk.lookup._learn(peer(10, f"192.0.2.{host}"), 1)
    asked = [ask.contact.endpoint.host for number in range(10) for ask in walk.asks(number * RTO)]
    assert asked == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_who_answered_is_not_asked_elsewhere() -> None:
    walk = Walk(10, k=2)
    walk.advance()
    walk.reply(10, peer(10, "192.0.2.2"))
    assert walk.advance() == []
    assert walk.lookup.outcome().closest == (peer(10),)


def test_we_never_ask_ourselves() -> None:
    own = Contact(OWN, Endpoint("192.0.2.9", 1))
    own.position = 1
    walk = Walk(own, 10)
    assert walk.advance() == [(10, 1)]


def test_a_walk_remembers_the_closest_and_no_more_than_its_bound() -> None:
    walk = Walk(*range(1000, 1010), max_candidates=10, k=16, parallelism=1)
    assert walk.advance() == [(1000, 1)]
    walk.reply(1000, 5000, *range(1, 6))
    assert len(walk.lookup._order) == len(walk.lookup._by_id) == 10
    assert sorted(c.contact.position for c in walk.lookup._by_id.values()) == [1, 2, 3, 4, 5, *range(1000, 1005)]


def test_who_was_asked_is_never_forgotten_and_does_not_bar_the_closer_ones() -> None:
    walk = Walk(1000, max_candidates=6, k=16, parallelism=1)
    walk.advance()
    walk.reply(1000, *range(100, 105))  # the farthest of all has answered
    assert walk.advance() == [(100, 1)]
    walk.reply(100, 1, 2)
    assert walk.advance() == [(1, 1)]
    positions = [c.contact.position for _, _, c in walk.lookup._order]
    assert positions == [1, 2, 100, 101, 102, 1000]


def test_a_stopped_walk_asks_nobody_and_keeps_what_it_has() -> None:
    walk = Walk(10, 20)
    walk.advance()
    walk.reply(10, 5)
    walk.lookup.stop("found")
    walk.lookup.stop()
    assert walk.advance() == []
    assert walk.wake_at is None
    walk.reply(20)
    assert (walk.lookup.reason, walk.closest) == ("found", [10])
    other = Walk(10)
    other.lookup.stop()
    assert other.lookup.outcome().reason == STOPPED


def test_a_stranger_a_second_answer_and_one_never_asked_change_nothing() -> None:
    walk = Walk(10, 20, parallelism=1)
    walk.advance()
    walk.reply(99, 1)
    walk.reply(20, 2)
    walk.fail(20)
    walk.reply(10)
    walk.reply(10, 3)
    assert walk.lookup.answers == 1
    assert walk.advance() == [(20, 1)]


def test_the_outcome_tells_the_story_of_the_walk() -> None:
    walk = Walk(100, 200, parallelism=2, k=3)
    walk.advance(0.0)
    walk.reply(100, 50, 60, now=0.25)
    walk.advance(0.25)
    walk.fail(200, now=0.5)
    walk.advance(0.5)
    walk.reply(50, 60, now=0.75)
    assert walk.advance(RTO + 0.5) == [(60, 2)]
    walk.reply(60, now=1.75)
    walk.advance(1.75)
    outcome = walk.lookup.outcome()
    assert outcome.closest == (peer(50), peer(60), peer(100))
    assert (outcome.queries, outcome.answers, outcome.hops, outcome.reason) == (5, 3, 2, ARRIVED)
    assert outcome.target == 0
    story = [(t.contact.position, t.hop, t.attempts, t.started, t.rtt, t.state, t.brought) for t in outcome.trace]
    assert story == [
        (100, 1, 1, 0.0, 0.25, "answered", 2),
        (200, 1, 1, 0.0, None, "failed", 0),
        (50, 2, 1, 0.25, 0.5, "answered", 0),
        (60, 2, 2, 0.5, 1.25, "answered", 0),
    ]


def test_only_what_is_sent_is_counted_as_a_query() -> None:
    walk = Walk(20, 30, k=2)
    sent = len(walk.advance())
    walk.reply(20, 5, 6)
    sent += len(walk.advance(0.5))
    walk.reply(5)
    walk.reply(6)
    sent += len(walk.advance(RTO))  # 30 would be asked again, but the two closest have answered
    assert walk.lookup.done
    assert walk.lookup.queries == sent == 4


def test_who_was_asked_elsewhere_before_is_not_forgotten_either() -> None:
    walk = Walk(100, 200, attempts=1, max_candidates=2, parallelism=2, k=2)
    elsewhere = peer(200, "192.0.2.2")
    walk.advance()
    walk.lookup._learn(elsewhere, 2)
    walk.fail(200)  # so it is to be asked elsewhere, when closer ones come up
    walk.reply(100, 1, 2)
    assert [candidate.contact for _, _, candidate in walk.lookup._order] == [peer(100), elsewhere]
    assert walk.asks() == [Ask(elsewhere, 1)]
