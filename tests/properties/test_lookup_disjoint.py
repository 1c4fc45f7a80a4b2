"""Lookups over several paths, in the worlds of the single one: what disjoint means, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import assume, given
from hypothesis import strategies as st

from kadnet.kademlia.disjoint import DisjointLookup
from kadnet.kademlia.lookup import Lookup
from tests.properties.walkworld import OWN, RTO, Journey, World, truthful, worlds

counts = st.integers(2, 5)


def over(paths: int, world: World) -> Journey:
    return Journey(world, machine=partial(DisjointLookup, paths=paths))


@given(worlds)
def test_a_single_path_is_the_plain_lookup(world: World) -> None:
    plain, single = Journey(world).run(), over(1, world).run()
    assert single.asks == plain.asks
    assert single.now == plain.now
    assert single.lookup.outcome() == plain.lookup.outcome()


@given(worlds, counts)
def test_no_contact_is_asked_on_two_paths(world: World, paths: int) -> None:
    journey = over(paths, world).run()
    asked = [(ask.contact, ask.attempt) for ask, _ in journey.asks]
    assert len(set(asked)) == len(asked)
    assert OWN not in {contact.id for contact, _ in asked}


@given(worlds, counts)
def test_who_has_answered_is_asked_nowhere_else(world: World, paths: int) -> None:
    journey = over(paths, world).run()
    for ask, when in journey.asks:
        if ask.attempt == 1:
            assert when <= journey.answered_at.get(ask.contact.id, when)


@given(worlds, counts)
def test_what_a_path_asks_it_was_told_on_that_path(world: World, paths: int) -> None:
    """Whoever the walk did not begin with leads back, from namer to namer, to one path's share of those who were."""
    journey = over(paths, world).run()
    via = {query.contact.id: query.via for query in journey.lookup.outcome().trace}
    known = {contact.id for contact in journey.seeds}
    for id in via:
        steps = 0
        while (namer := via[id]) is not None:
            id, steps = namer, steps + 1
            assert steps <= len(via)
        assert id in known


@given(worlds, counts)
def test_the_result_is_the_k_closest_of_those_who_answered_on_any_path(world: World, paths: int) -> None:
    journey = over(paths, world).run()
    outcome = journey.lookup.outcome()
    answered = sorted(journey.answered.values(), key=journey.distance)
    assert list(outcome.closest) == answered[: world.settings.k]
    assert outcome.answers == len(answered)
    assert outcome.queries == len(journey.asks)


@given(worlds, counts)
def test_several_paths_end_whatever_liars_say(world: World, paths: int) -> None:
    lies = World(**{**vars(world), "liars": 1.0})
    journey = over(paths, lies).run()
    limits = world.settings
    most = limits.max_candidates * limits.attempts * limits.max_endpoints
    assert journey.lookup.queries <= paths * most
    assert journey.now <= most * RTO


@given(truthful, counts)
def test_each_path_keeps_its_parallelism(world: World, paths: int) -> None:
    """Before anybody has answered or was late, each path has as many in flight as a single one has."""
    assume(world.settings.parallelism <= world.settings.k)
    journey = over(paths, replace(world, seeds=20))
    asks, _ = journey.lookup.advance(0.0)
    shares = [len(journey.seeds[n::paths]) for n in range(paths)]
    assert len(asks) == sum(min(share, world.settings.parallelism) for share in shares)


@given(worlds, counts)
def test_a_world_where_all_tell_the_truth_shows_every_path_the_same_closest(world: World, paths: int) -> None:
    calm = {"dead": 0.0, "lost": 0.0, "slow": RTO / 2, "liars": 0.0, "known": world.nodes}
    quiet = World(**{**vars(world), **calm, "seeds": max(1, world.seeds)})
    true = sorted(over(paths, quiet).nodes, key=lambda node: node.position ^ over(paths, quiet).target)
    closest = over(paths, quiet).run().lookup.outcome().closest
    single = Journey(quiet, machine=Lookup).run().lookup.outcome().closest
    assert list(closest) == list(single) == true[: quiet.settings.k]
