"""Budgets never let more through than they say, in any window of time."""

from hypothesis import given
from hypothesis import strategies as st

from kadnet.kademlia.limits import PrefixBudgets, TokenBucket

SLACK = 1e-6  # rounding of sums of floats

gaps = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60)
rates = st.floats(0.0, 10.0)
bursts = st.floats(1.0, 10.0)


def assert_within(times: list[float], rate: float, burst: float) -> None:
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - times[first]) + SLACK


@given(gaps=gaps, rate=rates, burst=bursts)
def test_no_window_passes_more_than_burst_and_rate(gaps: list[float], rate: float, burst: float) -> None:
    bucket = TokenBucket(rate, burst)
    now, passed = 1000.0, []
    for gap in gaps:
        now += gap
        if bucket.allow(now):
            passed.append(now)
    assert passed, "a full bucket lets the first one through"
    assert_within(passed, rate, burst)


@given(gaps=gaps, rate=st.floats(0.1, 10.0), burst=bursts)
def test_who_keeps_to_the_rate_is_never_refused(gaps: list[float], rate: float, burst: float) -> None:
    bucket = TokenBucket(rate, burst)
    now = 0.0
    for gap in gaps:
        now += gap + 1.001 / rate
        assert bucket.allow(now)


@given(
    steps=st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from([b"a", b"b", b"c"])), max_size=80),
    rate=rates,
    burst=bursts,
    node_rate=rates,
    node_burst=bursts,
)
def test_prefixes_and_node_both_keep_their_bounds(
    steps: list[tuple[float, bytes]], rate: float, burst: float, node_rate: float, node_burst: float
) -> None:
    budgets = PrefixBudgets(rate, burst, node_rate, node_burst, max_prefixes=3)
    now = 0.0
    passed: dict[bytes, list[float]] = {b"a": [], b"b": [], b"c": []}
    for gap, prefix in steps:
        now += gap
        if budgets.allow(prefix, now):
            passed[prefix].append(now)
    for times in passed.values():
        assert_within(times, rate, burst)
    assert_within(sorted(time for times in passed.values() for time in times), node_rate, node_burst)


@given(prefixes=st.lists(st.binary(min_size=3, max_size=3), max_size=200), bound=st.integers(1, 20))
def test_the_map_of_prefixes_is_bounded_and_the_node_is_still_guarded(prefixes: list[bytes], bound: int) -> None:
    budgets = PrefixBudgets(0.0, 1.0, 0.0, 15.0, max_prefixes=bound)
    passed = sum(budgets.allow(prefix, 0.0) for prefix in prefixes)
    assert len(budgets) <= bound
    assert passed <= 15
