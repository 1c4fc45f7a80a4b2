from dataclasses import dataclass, field

from kadnet.metrics import Reasons, snapshot


@dataclass(slots=True)
class Counters:
    sent: int = 0
    dropped: Reasons = field(default_factory=Reasons)


def test_reasons_are_counted_apart_and_together() -> None:
    reasons = Reasons()
    for reason in ("box", "mac", "box"):
        reasons.add(reason)
    assert reasons == {"box": 2, "mac": 1}
    assert reasons.total == 3


def test_no_more_reasons_are_kept_than_the_limit_and_nothing_is_lost() -> None:
    reasons = Reasons(limit=3)
    for n in range(10):
        reasons.add(f"reason {n}")
        reasons.add("reason 0")
    assert reasons == {"reason 0": 11, "reason 1": 1, "reason 2": 1, "other": 7}
    assert reasons.total == 20


def test_a_snapshot_has_every_number_and_stays_as_it_was() -> None:
    counters = Counters()
    counters.sent += 2
    counters.dropped.add("box")
    taken = snapshot(counters)
    counters.sent += 1
    counters.dropped.add("box")
    assert taken == {"sent": 2, "dropped": {"box": 1}}
    assert snapshot(counters) == {"sent": 3, "dropped": {"box": 2}}


def test_two_nodes_count_apart() -> None:
    one, other = Counters(), Counters()
    one.dropped.add("box")
    assert other.dropped.total == 0
