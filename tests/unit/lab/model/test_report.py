import math

import pytest

from kadnet.lab.model import Plan, Report, Sample, quantile, summary


def report(*samples: Sample) -> Report:
    return Report("kadnet", Plan(), 0.1, samples, 1000, 5000, complete=True)


def test_a_quantile_is_the_nearest_rank() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [quantile(values, part) for part in (0.0, 0.2, 0.5, 0.6, 0.61, 0.95, 1.0)] == [1, 1, 3, 3, 4, 5, 5]
    assert quantile(range(1, 101), 0.95) == 95
    assert math.isnan(quantile([], 0.5))


def test_a_summary_counts_times_in_round_trips_of_both_kinds() -> None:
    figures = summary(report(Sample(0.2, 0.05, 0.6, 20, 1, 1.0), Sample(0.4, 0.2, 0.8, 30, 2, 0.5)))
    assert figures["first_p50"] == 0.2
    assert figures["first_p50_rtt"] == pytest.approx(2.0)
    assert figures["first_p99_rtt"] == pytest.approx(4.0)
    assert figures["first_p50_direct"] == pytest.approx(2.0)
    assert figures["first_p95_direct"] == pytest.approx(4.0)
    assert figures["whole_p95"] == 0.8
    assert figures["messages"] == 25
    assert figures["hops"] == 1.5
    assert figures["success"] == 1.0
    assert figures["recall"] == 0.75
    assert figures["lookups"] == 2


def test_what_was_not_found_is_infinitely_late_and_lowers_the_success() -> None:
    found, lost = Sample(0.2, 0.1, 0.6, 20, 1, 1.0), Sample(None, None, 5.0, 40, None, 0.0)
    figures = summary(report(found, found, found, lost))
    assert figures["success"] == 0.75
    assert figures["first_p50"] == 0.2
    assert figures["first_p99"] == math.inf
    assert figures["hops"] == 1
    assert figures["first_p99_direct"] == pytest.approx(2.0)  # where no holder lives there is nothing to compare with


def test_a_summary_of_nothing_says_nothing() -> None:
    figures = summary(report())
    assert figures["lookups"] == 0
    assert all(math.isnan(value) for name, value in figures.items() if name != "lookups")
