"""Timeouts stay in bounds and follow what was measured, whatever is measured."""

from hypothesis import given
from hypothesis import strategies as st

from kadnet.kademlia.rtt import NodeRtt, RtoSettings, RttEstimate

samples = st.floats(0.0, 60.0)


@given(steps=st.lists(st.tuples(st.integers(0, 3), samples), max_size=60))
def test_timeouts_are_between_floor_and_ceiling(steps: list[tuple[int, float]]) -> None:
    node, peers, bounds = NodeRtt(), [RttEstimate() for _ in range(4)], RtoSettings()
    for number, sample in steps:
        node.observe(peers[number], sample)
        assert all(bounds.floor <= node.timeout(peer) <= bounds.ceiling for peer in (None, *peers))
    assert node.overall.samples == len(steps) == sum(peer.samples for peer in peers)


@given(values=st.lists(samples, min_size=1, max_size=60))
def test_an_estimate_stays_within_what_was_measured(values: list[float]) -> None:
    estimate = RttEstimate()
    for value in values:
        estimate.update(value)
    assert estimate.srtt is not None
    assert estimate.rttvar is not None
    assert min(values) - 1e-9 <= estimate.srtt <= max(values) + 1e-9
    assert 0 <= estimate.rttvar <= max(values)


@given(values=st.lists(st.floats(0.1, 0.4), min_size=30, max_size=60), steady=st.floats(0.05, 1.0))
def test_a_peer_that_turns_steady_is_waited_for_little_longer_than_it_takes(values: list[float], steady: float) -> None:
    node, peer = NodeRtt(), RttEstimate()
    for value in values + [steady] * 60:
        node.observe(peer, value)
    assert max(0.1, steady) <= node.timeout(peer) <= max(0.1, steady + 0.02)
    assert node.timeout(peer) >= steady


@given(history=st.lists(samples, max_size=40), first=samples)
def test_a_first_deviation_is_never_above_half_the_sample(history: list[float], first: float) -> None:
    node, old, new = NodeRtt(), RttEstimate(), RttEstimate()
    for value in history:
        node.observe(old, value)
    node.observe(new, first)
    assert new.rttvar is not None
    assert 0 <= new.rttvar <= first / 2
    if node.within is not None:
        assert new.rttvar == min(first / 2, node.within)
