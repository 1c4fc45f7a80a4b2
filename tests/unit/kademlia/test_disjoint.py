"""Lookups over disjoint paths, driven by numbers."""

from __future__ import annotations

import random

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.disjoint import DisjointLookup
from kadnet.kademlia.lookup import Lookup, LookupSettings
from kadnet.kademlia.outcome import ARRIVED, NOBODY_LEFT
from tests.unit.kademlia.distances import OWN, RTO, peer, peers


class Walk:
    """A lookup towards 0 over several paths, and what it has asked."""

    def __init__(self, *seeds: int | Contact, paths: int = 2, silent: int | None = None, **settings: int) -> None:
        wanted = LookupSettings(**settings)
        self.lookup = DisjointLookup(
            0,
            peers(*seeds),
            wanted,
            own_id=OWN,
            timeout=lambda contact: RTO,
            now=0.0,
            silent=lambda contact, now: contact.position == silent,
            paths=paths,
        )
        self.wake_at: float | None = None

    def advance(self, now: float = 0.0) -> list[tuple[int, int]]:
        """(distance, attempt) of each Ask."""
        asks, self.wake_at = self.lookup.advance(now)
        return [(ask.contact.position, ask.attempt) for ask in asks]

    def reply(self, who: int | Contact, *brought: int | Contact, now: float = 0.0) -> None:
        (asked,) = peers(who)
        self.lookup.on_reply(asked.id, peers(*brought), now, asked)

    @property
    def closest(self) -> list[int]:
        return [contact.position for contact in self.lookup.closest(1000)]


def test_the_contacts_a_walk_begins_with_are_dealt_out_nearest_first() -> None:
    walk = Walk(40, 10, 30, 20, 60, 50, parallelism=2)
    assert walk.advance() == [(10, 1), (30, 1), (20, 1), (40, 1)]
    walk.reply(20)
    assert walk.advance(0.1) == [(60, 1)]
    assert walk.wake_at == RTO


def test_whoever_asks_first_keeps_the_peer_for_its_path() -> None:
    walk = Walk(10, 20, parallelism=1)
    walk.advance()
    walk.reply(10, 5, 7)
    assert walk.advance(0.1) == [(5, 1)]
    walk.reply(20, 5, 7)  # 5 was asked on the other path, 7 was only named there
    assert walk.advance(0.2) == [(7, 1)]
    walk.reply(5)
    walk.reply(7)
    assert walk.advance(0.3) == []
    assert walk.lookup.reason == NOBODY_LEFT
    assert walk.closest == [5, 7, 10, 20]
    assert (walk.lookup.queries, walk.lookup.answers) == (4, 4)


def test_a_peer_heard_of_before_another_path_asked_it_is_not_asked_again() -> None:
    walk = Walk(10, 20, parallelism=1)
    walk.advance()
    walk.reply(10, 5, 7)
    walk.reply(20, 5, 8)
    assert walk.advance(0.1) == [(5, 1), (8, 1)]
    walk.reply(5)
    walk.reply(8)
    assert walk.advance(0.2) == [(7, 1)]


def test_a_wrong_address_on_one_path_does_not_keep_another_from_the_right_one() -> None:
    walk = Walk(10, 20, parallelism=1)
    walk.advance()
    walk.reply(10, peer(5, "198.51.100.66"))  # 10 lies
    assert walk.advance(0.1) == [(5, 1)]
    walk.reply(20, peer(5))
    assert walk.advance(0.2) == [(5, 1)]
    walk.reply(peer(5))
    assert walk.closest == [5, 10, 20]
    assert walk.lookup.closest(1) == [peer(5)]


def test_who_answered_one_path_is_asked_nowhere_else_by_another() -> None:
    walk = Walk(10, 20, parallelism=1)
    walk.advance()
    walk.reply(10, 5)
    walk.advance(0.1)
    walk.reply(5)
    walk.reply(20, peer(5, "198.51.100.66"))
    assert walk.advance(0.2) == []
    assert walk.closest == [5, 10, 20]


def test_all_endpoints_of_a_peer_go_to_one_path() -> None:
    walk = Walk(10, peer(10, "2001:db8::1"), 20, parallelism=1, attempts=1)
    assert walk.advance() == [(10, 1), (20, 1)]
    walk.reply(20)
    walk.advance(0.5)
    assert walk.advance(RTO) == [(10, 1)]  # at its other endpoint


def test_an_answer_after_its_path_has_ended_counts_while_the_others_go_on() -> None:
    walk = Walk(10, 20, 30, 40, paths=2, k=1, parallelism=1, attempts=1)
    walk.advance()
    assert walk.advance(RTO) == [(30, 1), (40, 1)]  # 10 and 20 are late
    walk.reply(30, now=1.2)  # the first path has its closest
    walk.advance(1.2)
    walk.reply(10, now=1.3)
    assert not walk.lookup.done
    walk.reply(40, now=1.4)
    assert walk.advance(1.4) == []
    assert walk.lookup.reason == ARRIVED
    assert walk.closest == [10, 30, 40]


def test_a_silent_peer_is_taken_up_by_no_path() -> None:
    walk = Walk(10, 20, 30, silent=20, parallelism=3)
    assert sorted(walk.advance()) == [(10, 1), (30, 1)]


def test_an_answer_nobody_asked_for_changes_nothing() -> None:
    walk = Walk(10, 20)
    walk.advance()
    walk.reply(99, 1, 2)
    walk.reply(peer(10, "198.51.100.66"), 1, 2)
    walk.lookup.on_failure(peer(99).id, 0.1)
    assert walk.advance(0.1) == []
    assert walk.closest == []


def test_a_stopped_walk_asks_nobody_on_any_path() -> None:
    walk = Walk(10, 20, 30)
    walk.advance()
    walk.lookup.stop("found")
    walk.reply(10, 1)
    assert walk.advance(0.1) == []
    assert (walk.lookup.reason, walk.wake_at, walk.closest) == ("found", None, [])


def test_the_outcome_tells_of_all_paths_in_the_order_of_asking() -> None:
    walk = Walk(10, 20, 30, parallelism=1, k=2)
    walk.advance()
    walk.reply(10, 5, now=0.1)
    walk.advance(0.1)
    walk.reply(20, 5, now=0.2)
    walk.advance(0.2)
    walk.reply(5, now=0.3)
    walk.advance(0.3)
    outcome = walk.lookup.outcome()
    assert [(query.contact.position, query.started) for query in outcome.trace] == [(10, 0.0), (20, 0.0), (5, 0.1)]
    assert [query.via for query in outcome.trace] == [None, None, peer(10).id]
    assert [query.path for query in outcome.trace] == [1, 2, 1]
    assert (outcome.hops, outcome.queries, outcome.answers) == (2, 3, 3)
    assert [contact.position for contact in outcome.closest] == [5, 10]
    assert outcome.reason == ARRIVED


NODES, PEERS_KNOWN, ROUNDS = 500, 60, 40


def walk_among_liars(seed: int, paths: int) -> tuple[bool, int]:
    """Whether the closest honest node was found where every second node is a liar, and how many requests it took.

    Honest nodes name the closest they know of all; a liar names the closest of the liars.
    """
    rng = random.Random(seed)
    nodes = [peer(distance) for distance in sorted(rng.getrandbits(240) for _ in range(NODES))]
    liars = [node for node in nodes if rng.random() < 0.5]
    lying = {node.id for node in liars}
    seeds = rng.sample(nodes, 16)
    settings = LookupSettings()
    machine: Lookup | DisjointLookup
    if paths == 1:
        machine = Lookup(0, seeds, settings, own_id=OWN, timeout=lambda contact: RTO, now=0.0)
    else:
        machine = DisjointLookup(0, seeds, settings, own_id=OWN, timeout=lambda contact: RTO, now=0.0, paths=paths)
    while not machine.done:
        for ask in machine.advance(0.0)[0]:
            known = liars if ask.contact.id in lying else random.Random(ask.contact.id).sample(nodes, PEERS_KNOWN)
            near = sorted(known, key=lambda node: node.position)[:16]
            machine.on_reply(ask.contact.id, near, 0.0, ask.contact)
    holder = next(node for node in nodes if node.id not in lying)
    return holder in machine.closest(1000), machine.queries


def test_four_paths_find_what_liars_hide_from_one() -> None:
    single = [walk_among_liars(seed, 1) for seed in range(ROUNDS)]
    several = [walk_among_liars(seed, 4) for seed in range(ROUNDS)]
    assert sum(found for found, _ in single) < 0.75 * ROUNDS
    assert sum(found for found, _ in several) > 0.95 * ROUNDS
    assert sum(asked for _, asked in several) < 5 * sum(asked for _, asked in single)
