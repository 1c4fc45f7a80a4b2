import math
import random

from kadnet.links.calling import Calling


def calling() -> Calling:
    return Calling((1.0, 2.0, 4.0), 0.0, random.Random(1))


def test_without_demand_or_a_loss_nobody_is_called() -> None:
    ours = calling()
    assert not ours.begin(False, 0.0)
    assert ours.wake_at == math.inf


def test_one_call_on_demand_and_none_beside_it() -> None:
    ours = calling()
    assert ours.begin(True, 0.0)
    assert ours.dialing
    assert not ours.begin(True, 1.0)
    assert not ours.failed(2.0), "there is no further one by itself"
    assert ours.begin(True, 3.0)


def test_after_a_loss_the_pauses_grow_and_then_it_ends() -> None:
    ours = calling()
    assert ours.lost(lasted=True, demand=False, now=0.0)
    due = []
    now = 0.0
    while ours.due_at < math.inf:
        due.append(ours.due_at - now)
        now = ours.due_at
        assert ours.begin(False, now)
        more = ours.failed(now)
        assert more == (ours.due_at < math.inf)
    assert due == [1.0, 2.0, 4.0]


def test_a_message_shortens_the_first_pause_and_no_later_one() -> None:
    ours = calling()
    ours.lost(lasted=True, demand=False, now=0.0)
    ours.demanded(0.5)
    assert ours.due_at == 0.5
    assert ours.begin(True, 0.5)
    ours.failed(0.5)
    ours.demanded(1.0)
    assert not ours.begin(True, 1.0)
    assert ours.due_at == 2.5


def test_links_that_do_not_last_count_as_failures_until_one_lasts() -> None:
    ours = calling()
    ours.lost(lasted=False, demand=True, now=0.0)
    assert ours.begin(True, 0.0)
    ours.up(True)
    ours.lost(lasted=False, demand=True, now=0.0)
    assert ours.due_at == 2.0
    ours.up(False)
    ours.lost(lasted=False, demand=True, now=0.0)
    assert ours.due_at == 4.0
    ours.up(False)
    assert not ours.lost(lasted=False, demand=True, now=0.0)
    ours.up(False)
    assert ours.lost(lasted=True, demand=True, now=50.0)
    assert ours.due_at == 50.0


def test_a_call_that_is_under_way_goes_on_when_the_peer_has_called() -> None:
    ours = calling()
    ours.begin(True, 0.0)
    ours.up(False)
    assert ours.dialing
    ours.lost(lasted=True, demand=True, now=1.0)
    assert ours.wake_at == math.inf, "it waits for the end of that call"
    assert ours.failed(2.0)
    assert ours.begin(True, 2.0)


def test_once_stopped_none_begins() -> None:
    ours = calling()
    ours.lost(lasted=True, demand=False, now=0.0)
    ours.stop()
    assert not ours.begin(False, 9.0)
