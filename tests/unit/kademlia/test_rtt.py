import pytest

from kadnet.kademlia.rtt import NodeRtt, RtoSettings, RttEstimate


def test_the_first_samples_follow_rfc_6298() -> None:
    estimate = RttEstimate()
    estimate.update(0.2)
    assert (estimate.srtt, estimate.rttvar, estimate.samples) == (0.2, 0.1, 1)
    estimate.update(0.4)  # rttvar = 3/4 * 0.1 + 1/4 * |0.2 - 0.4|, with the old srtt; srtt = 7/8 * 0.2 + 1/8 * 0.4
    assert estimate.rttvar == pytest.approx(0.125)
    assert estimate.srtt == pytest.approx(0.225)
    assert estimate.samples == 2


def test_before_any_sample_the_timeout_is_the_initial_one() -> None:
    assert NodeRtt().timeout(None) == 0.5
    assert NodeRtt(RtoSettings(initial=0.7)).timeout(RttEstimate()) == 0.7


def test_a_stranger_gets_the_estimate_of_the_node() -> None:
    node = NodeRtt()
    for sample in (0.1, 0.3, 0.1, 0.3):
        node.observe(RttEstimate(), sample)
    overall = node.overall
    assert overall.samples == 4
    assert overall.srtt is not None
    assert overall.rttvar is not None
    assert node.timeout(None) == node.timeout(RttEstimate()) == pytest.approx(overall.srtt + 4 * overall.rttvar)


def test_a_measured_peer_gets_its_own_timeout() -> None:
    node = NodeRtt()
    near, far = RttEstimate(), RttEstimate()
    for _ in range(20):
        node.observe(near, 0.15)
        node.observe(far, 0.9)
    assert node.timeout(near) == pytest.approx(0.16, abs=0.005)  # steady: srtt and the granularity
    assert node.timeout(far) == pytest.approx(0.91, abs=0.02)


def test_the_second_timer_is_one_and_a_half_usual_round_trips_where_the_first_one_is_longer() -> None:
    node = NodeRtt()
    assert node.second(None) == node.timeout(None) == 0.5, "nothing is known yet"
    once, stranger = RttEstimate(), RttEstimate()
    node.observe(once, 0.2)
    assert node.timeout(once) == pytest.approx(0.6)
    assert node.second(once) == pytest.approx(0.3)
    assert node.second(stranger) == node.second(None) == pytest.approx(0.3), "by the estimate of the node"


def test_the_second_timer_is_never_longer_than_the_first_nor_below_the_floor() -> None:
    node = NodeRtt()
    steady, near = RttEstimate(), RttEstimate()
    for _ in range(20):
        node.observe(steady, 0.3)
        node.observe(near, 0.001)
    assert node.second(steady) == node.timeout(steady) == pytest.approx(0.31, abs=0.005)
    assert node.second(near) == 0.1


def test_timeouts_stay_between_floor_and_ceiling() -> None:
    node = NodeRtt()
    fast, slow = RttEstimate(), RttEstimate()
    node.observe(fast, 0.001)
    node.observe(slow, 30.0)
    assert node.timeout(fast) == 0.1
    assert node.timeout(slow) == 2.0


def test_a_peer_measured_once_borrows_the_deviation_typical_within_a_peer() -> None:
    node = NodeRtt()
    steady = RttEstimate()
    for _ in range(10):
        node.observe(steady, 0.05)
        node.observe(steady, 0.06)
    once = RttEstimate()
    node.observe(once, 0.8)
    assert node.within is not None
    assert node.within < 0.02
    assert once.rttvar == node.within
    assert node.timeout(once) < 0.9, "RFC 6298 alone would wait 2.4 s"


def test_a_borrowed_deviation_is_never_above_half_the_first_sample() -> None:
    node = NodeRtt()
    wild = RttEstimate()
    for sample in (0.1, 1.9, 0.1, 1.9):
        node.observe(wild, sample)
    once = RttEstimate()
    node.observe(once, 0.02)
    assert once.rttvar == 0.01


def test_what_peers_differ_by_does_not_count_as_deviation_within_a_peer() -> None:
    node = NodeRtt()
    for sample in (0.01, 1.0, 0.2, 0.7):
        node.observe(RttEstimate(), sample)
    assert node.within is None
