import math
from random import Random
from statistics import mean, median
from typing import Any

import pytest

from kadnet.errors import InputError
from kadnet.lab.latency import Constant, Coordinates
from kadnet.lab.model import Plan

DRAWS = 40_000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"nodes": 1}, "nobody to look up"),
        ({"lookups": 0}, "0 lookups"),
        ({"loss": 1.01}, "101%"),
        ({"loss": -0.1}, "-10%"),
        ({"stale": 2.0}, "200%"),
        ({"nodes": 10, "stale": 0.9}, "9 of 10 nodes dead 1 is left"),
        ({"nodes": 10, "stale": 1.0}, "10 of 10 nodes dead nobody is left"),
        ({"churn": 0.0}, "median session of 0 s"),
        ({"churn": math.inf}, "median session of inf s"),
        ({"sessions": "uniform"}, "not uniform"),
        ({"pace": 0.0}, "some time"),
        ({"lookup_pace": -1.0}, "some time"),
    ],
)
def test_what_cannot_be_is_said_before_anything_begins(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Plan(**wrong)


def test_half_of_the_sessions_are_longer_than_the_median() -> None:
    rng = Random(5)
    for sessions in ("exponential", "weibull"):
        plan = Plan(churn=3600.0, sessions=sessions)
        assert median(plan.session(rng) for _ in range(DRAWS)) == pytest.approx(3600, rel=0.05)


def test_weibull_sessions_have_a_long_tail() -> None:
    rng = Random(6)
    drawn = sorted(Plan(churn=3600.0, sessions="weibull").session(rng) for _ in range(DRAWS))
    # Shape 0.5: the mean is Γ(3) = 2 scales, the median ln(2)² = 0.48 of one; an exponential's is 1.44 medians.
    assert mean(drawn) / 3600 == pytest.approx(2 / math.log(2) ** 2, rel=0.1)


def test_the_rest_of_a_session_met_by_chance_is_that_of_a_renewal_process() -> None:
    rng = Random(7)
    memoryless = Plan(churn=3600.0)
    assert median(memoryless.rest(rng) for _ in range(DRAWS)) == pytest.approx(3600, rel=0.05)
    plan = Plan(churn=3600.0, sessions="weibull")
    # The mean rest is E[X²] / 2 E[X]: with shape 0.5 in scales Γ(5) / 2 Γ(3) = 6.
    scale = 3600 / math.log(2) ** 2
    assert mean(plan.rest(rng) for _ in range(4 * DRAWS)) / scale == pytest.approx(6, rel=0.1)


def test_without_churn_nobody_leaves() -> None:
    assert Plan().session(Random(1)) == math.inf


def test_the_network_is_the_given_one_or_the_calibrated_one_of_the_seed() -> None:
    assert Plan(latency=Constant(0.01)).network() == Constant(0.01)
    assert Plan(seed=9).network() == Coordinates(9)
