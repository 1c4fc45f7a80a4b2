"""The lookup in worlds of random knowledge, delays, losses, deaths and liars: what holds in all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kadnet.kademlia.candidates import State
from kadnet.kademlia.lookup import LookupSettings
from kadnet.kademlia.outcome import ARRIVED
from tests.properties.walkworld import OWN, RTO, Journey, World, truthful, worlds


@given(truthful)
def test_no_slot_is_idle_while_a_closer_contact_is_unasked(world: World) -> None:
    def check(journey: Journey) -> None:
        asked = {ask.contact.id for ask, _ in journey.asks}
        unasked = [contact for contact in journey.closest_live(without=journey.in_doubt()) if contact.id not in asked]
        assert not unasked or journey.in_flight() >= world.settings.parallelism

    Journey(world, after_advance=check).run()


@given(truthful)
def test_termination_and_parallelism(world: World) -> None:
    def check(journey: Journey) -> None:
        arrived = journey.in_a_row >= world.settings.parallelism
        widened = max(world.settings.parallelism, world.settings.arrived_parallelism)
        doubted[0] = max(doubted[0], len(journey.in_doubt()))  # for each of these one more may have been asked
        narrow = world.settings.parallelism + doubted[0]
        assert journey.in_flight() <= (max(widened, narrow) if arrived or widest[0] else narrow)
        widest[0] = widest[0] or arrived  # what was sent after an arrival is still under way when it proves wrong

    widest, doubted = [False], [0]
    journey = Journey(world, after_advance=check).run()
    assert len(journey.asks) == journey.lookup.queries <= world.nodes * world.settings.attempts


@given(worlds)
def test_nobody_is_asked_twice_at_one_endpoint_with_one_attempt(world: World) -> None:
    journey = Journey(world).run()
    asked = [(ask.contact, ask.attempt) for ask, _ in journey.asks]
    assert len(set(asked)) == len(asked)
    assert all(1 <= attempt <= world.settings.attempts for _, attempt in asked)
    assert OWN not in {contact.id for contact, _ in asked}


@given(worlds, st.integers(1, 30))
def test_nobody_is_asked_twice_however_little_is_remembered(world: World, bound: int) -> None:
    journey = Journey(World(**{**vars(world), "settings": remembering(world.settings, bound)})).run()
    asked = [(ask.contact, ask.attempt) for ask, _ in journey.asks]
    assert len(set(asked)) == len(asked)


@given(worlds)
def test_the_result_is_the_k_closest_of_those_who_answered(world: World) -> None:
    journey = Journey(world).run()
    outcome = journey.lookup.outcome()
    answered = sorted(journey.answered.values(), key=journey.distance)
    assert list(outcome.closest) == answered[: world.settings.k]
    assert outcome.answers == len(answered)
    assert outcome.hops <= len(answered)


@given(truthful)
def test_nobody_closer_than_the_result_was_left_unasked(world: World) -> None:
    journey = Journey(world).run()
    outcome = journey.lookup.outcome()
    assert [contact.id for contact in journey.closest_live()] == [contact.id for contact in outcome.closest]
    assert (outcome.reason == ARRIVED) is (len(outcome.closest) == world.settings.k)


@given(worlds)
def test_a_quiet_world_that_knows_itself_is_searched_to_the_end(world: World) -> None:
    calm = {"dead": 0.0, "lost": 0.0, "slow": RTO / 2, "liars": 0.0, "known": world.nodes}
    journey = Journey(World(**{**vars(world), **calm, "seeds": max(1, world.seeds)})).run()
    true = sorted(journey.nodes, key=journey.distance)[: world.settings.k]
    assert list(journey.lookup.outcome().closest) == true


@given(worlds, st.integers(1, 60))
def test_liars_cannot_make_it_run_forever(world: World, bound: int) -> None:
    limits = remembering(world.settings, bound)
    journey = Journey(World(**{**vars(world), "liars": 1.0, "lost": 0.0, "settings": limits})).run()
    assert journey.lookup.queries <= max(bound, 1) * limits.attempts * limits.max_endpoints
    assert journey.now <= (bound + 1) * RTO * limits.attempts * limits.max_endpoints


@given(worlds)
def test_at_any_time_the_result_is_sorted_and_of_those_who_answered(world: World) -> None:
    def check(journey: Journey) -> None:
        found = journey.lookup.closest(1000)
        assert found == sorted(found, key=journey.distance)
        assert [contact.id for contact in found] == [each.id for each in journey.lookup.closest(len(found))]
        assert {contact.id for contact in found} == journey.answered.keys()

    Journey(world, after_advance=check).run()


@given(worlds)
def test_a_late_answer_counts_as_long_as_the_walk_lasts(world: World) -> None:
    slow = World(**{**vars(world), "slow": 3.0, "lost": 0.0, "nodes": max(world.nodes, 20), "seeds": 20})
    journey = Journey(slow).run()
    states = {query.contact.id: query.state for query in journey.lookup.outcome().trace}
    given_up = journey.given_up_before_they_answered()
    assert all(states[id] == State.ANSWERED.value for id in given_up)
    assert given_up <= {contact.id for contact in journey.lookup.closest(1000)}


@given(worlds)
def test_a_trace_names_the_first_who_named_each_peer(world: World) -> None:
    journey = Journey(world).run()
    known = {contact.id for contact in journey.seeds}
    for query in journey.lookup.outcome().trace:
        if query.contact.id in known:
            assert query.via is None
            assert query.hop == 1
        else:
            assert query.via in journey.answered
            assert query.via in journey.named_by[query.contact.id]


@given(worlds, st.floats(0.0, 3.0))
def test_a_walk_can_be_stopped_at_any_time(world: World, when: float) -> None:
    def stop(journey: Journey) -> None:
        if journey.now >= when:
            journey.lookup.stop("enough")

    journey = Journey(world, after_advance=stop).run()
    sent = len(journey.asks)
    for _, _, what in journey.events:
        what()
    assert journey.lookup.advance(journey.now) == ([], None)
    assert len(journey.asks) == sent


def remembering(settings: LookupSettings, bound: int) -> LookupSettings:
    return LookupSettings(
        k=settings.k,
        parallelism=settings.parallelism,
        arrived_parallelism=settings.arrived_parallelism,
        attempts=settings.attempts,
        max_candidates=bound,
    )
