"""Whoever is so near that it is probably one of the closest is asked at once, whatever the parallelism is."""

from __future__ import annotations

from kadnet.kademlia.lookup import Lookup, LookupSettings
from tests.unit.kademlia.distances import OWN, RTO, peer, peers


def lookup(near: int, *distances: int, arrived: int = 16) -> Lookup:
    settings = LookupSettings(k=8, parallelism=3, arrived_parallelism=arrived)
    return Lookup(0, peers(*distances), settings, own_id=OWN, timeout=lambda _: RTO, now=0.0, near=near)


def asked(walk: Lookup, now: float = 0.0) -> list[int]:
    return [ask.contact.position for ask in walk.advance(now)[0]]


def test_all_that_are_near_are_asked_at_once_and_nobody_farther_beyond_the_parallelism() -> None:
    assert asked(lookup(25, 10, 15, 20, 22, 25, 26, 30)) == [10, 15, 20, 22, 25]
    assert asked(lookup(25, 10, 30, 40, 50, 60)) == [10, 30, 40]
    assert asked(lookup(0, 10, 15, 20, 22, 25)) == [10, 15, 20]


def test_who_is_named_later_and_is_near_is_asked_at_once_too() -> None:
    walk = lookup(25, 100, 200, 300)
    assert asked(walk) == [100, 200, 300]
    walk.on_reply(peer(200).id, peers(10, 12, 14, 16, 30), 0.1)
    assert asked(walk, 0.1) == [10, 12, 14, 16]


def test_no_more_are_asked_at_once_than_when_a_walk_has_arrived() -> None:
    walk = lookup(25, *range(1, 21), arrived=5)
    assert asked(walk) == [1, 2, 3, 4, 5]
    walk.on_reply(peer(3).id, [], 0.1)
    assert asked(walk, 0.1) == [6]


def test_no_more_than_k_are_asked_however_many_are_near() -> None:
    assert asked(lookup(100, *range(1, 21))) == list(range(1, 9))
