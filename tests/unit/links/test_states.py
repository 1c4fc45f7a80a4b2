from __future__ import annotations

from dataclasses import replace

import pytest

from kadnet.wire.envelopes import BYE, FULL, IDLE, OLD, SPARE, Close, Keep, Ping
from tests.unit.links.machines import PLAIN, START, does, larger, linked, smaller, with_two

# --- sending


def test_a_message_without_a_link_calls_the_peer_once() -> None:
    machine = larger()
    assert does(machine, 0.0) == []
    assert machine.over
    machine.submit("x", 1, 0.0)
    machine.submit("y", 1, 0.0)
    assert does(machine, 0.0) == ["dial"]
    assert machine.advance(1.0) == ([], None)
    machine.up(1, True, START, 1.0)
    assert does(machine, 1.0) == ["up 1", "1: ping 1", "1: x y"]
    assert not machine.over


def test_a_call_on_demand_that_fails_fails_what_is_queued() -> None:
    machine = larger()
    machine.submit("x", 1, 0.0)
    does(machine, 0.0)
    machine.dial_failed("nobody there", 2.0)
    assert does(machine, 2.0) == ["fail x: nobody there"]
    assert machine.over
    machine.submit("y", 1, 3.0)
    assert does(machine, 3.0) == ["dial"]


def test_a_message_taken_back_calls_nobody() -> None:
    machine = larger()
    machine.submit("x", 5, 0.0)
    with pytest.raises(ValueError, match="queued"):
        machine.submit("x", 5, 0.0)
    assert machine.queued == (1, 5)
    assert machine.cancel("x")
    assert not machine.cancel("x")
    assert machine.queued == (0, 0)
    assert does(machine, 0.0) == []


def test_what_has_been_handed_over_cannot_be_taken_back() -> None:
    machine = linked(larger())
    machine.submit("x", 5, 0.0)
    does(machine, 0.0)
    assert not machine.cancel("x")


def test_a_link_has_one_batch_at_a_time_and_batches_are_bounded() -> None:
    machine = linked(larger(replace(PLAIN, batch_items=3, batch_bytes=10)))
    for item, size in [("a", 4), ("b", 4), ("c", 4), ("d", 99), ("e", 1), ("f", 1), ("g", 1), ("h", 1)]:
        machine.submit(item, size, 0.0)
    batches = []
    while machine.queued[0]:
        batches += does(machine, 0.0)
        assert does(machine, 0.0) == [], "it is busy"
        machine.ready(1, 0.0)
    assert batches == ["1: a b", "1: c", "1: d", "1: e f g", "1: h"]


def test_a_message_to_a_linked_peer_calls_nobody() -> None:
    machine = linked(smaller())
    machine.submit("x", 1, 0.0)
    assert does(machine, 0.0) == ["1: x"]
    assert machine.current == 1


def test_a_call_that_fails_beside_a_link_costs_nothing() -> None:
    machine = larger()
    machine.submit("x", 1, 0.0)
    does(machine, 0.0)
    machine.up(1, False, START, 1.0)
    assert does(machine, 1.0) == ["up 1", "1: x"]
    machine.submit("y", 1, 1.0)
    machine.dial_failed("nobody there", 2.0)
    machine.ready(1, 2.0)
    assert does(machine, 2.0) == ["1: y"]


# --- closing


def test_after_close_nothing_is_said_on_a_link_but_it_is_read_until_the_peer_has_closed_too() -> None:
    machine = linked(larger())
    machine.retire(IDLE, 1.0)
    assert does(machine, 1.0) == ["1: close idle", "down idle"]
    machine.control(1, Ping(9), 2.0)
    machine.control(1, Keep(), 2.0)
    assert does(machine, 2.0) == []
    assert machine.links == 1
    machine.control(1, Close(IDLE), 3.0)
    assert does(machine, 3.0) == ["1 finish"], "what it has yet to write is written, as both may close at once"
    assert not machine.over
    machine.lost(1, "finished", 3.1)
    assert does(machine, 3.1) == []
    assert machine.over


def test_the_other_side_answers_close_and_finishes() -> None:
    machine = linked(smaller())
    machine.submit("x", 1, 0.5)
    does(machine, 0.5)
    machine.submit("y", 1, 0.5)
    machine.control(1, Close(SPARE), 1.0)
    assert does(machine, 1.0) == ["1: close spare", "1 finish", "down spare", "dial"]
    machine.control(1, Ping(3), 1.0)
    assert does(machine, 1.0) == []


def test_a_closing_link_is_given_up_when_it_brings_nothing_more() -> None:
    machine = linked(larger())
    machine.retire(IDLE, 1.0)
    does(machine, 1.0)
    machine.heard(1, 4.0)
    assert does(machine, 8.9) == []
    assert machine.links == 1
    assert does(machine, 9.0) == ["1 drop drained"]
    assert machine.over


def test_a_link_that_cannot_finish_is_given_up() -> None:
    machine = linked(smaller())
    machine.control(1, Close(BYE), 1.0)
    does(machine, 1.0)
    assert does(machine, 30.9) == []
    assert does(machine, 31.0) == ["1 drop drained"]


@pytest.mark.parametrize("reason", [BYE, IDLE, FULL])
def test_a_peer_that_wants_no_link_is_called_again_on_demand_alone(reason: str) -> None:
    machine = linked(smaller())
    machine.control(1, Close(reason), 1.0)
    assert does(machine, 1.0) == [f"1: close {reason}", "1 finish", f"down {reason}"]
    machine.lost(1, "finished", 1.1)
    assert does(machine, 10.0) == []
    assert machine.over
    machine.submit("x", 1, 10.0)
    assert does(machine, 10.0) == ["dial"]


@pytest.mark.parametrize("reason", [SPARE, OLD])
def test_a_close_that_takes_the_last_link_otherwise_is_a_loss(reason: str) -> None:
    machine = linked(smaller())
    machine.control(1, Close(reason), 20.0)
    does(machine, 20.0)
    assert does(machine, 21.0) == ["dial"]


def test_a_pair_is_retired_behind_what_is_queued() -> None:
    machine = linked(larger(replace(PLAIN, batch_items=1)))
    machine.submit("x", 1, 0.0)
    machine.submit("y", 1, 0.0)
    machine.retire(IDLE, 0.0)
    assert does(machine, 0.0) == ["1: x"]
    machine.ready(1, 0.1)
    assert does(machine, 0.1) == ["1: y", "1: close idle", "down idle"]
    machine.submit("z", 1, 0.2)
    assert does(machine, 0.2) == ["dial"]


def test_a_stopped_pair_hands_over_says_goodbye_and_takes_no_more() -> None:
    machine = with_two(larger(replace(PLAIN, batch_items=1)))
    machine.submit("x", 1, 0.0)
    machine.submit("y", 1, 0.0)
    machine.stop(0.0)
    assert does(machine, 0.0) == ["2: x"], "there is no time for rounds"
    machine.ready(2, 0.1)
    assert does(machine, 0.1) == ["2: y", "1: close bye", "2: close bye", "down bye"]
    machine.submit("z", 1, 0.2)
    assert does(machine, 0.2) == ["fail z: stopped"]
    machine.up(3, True, START, 0.3)
    assert does(machine, 0.3) == ["3: close bye"]
    for link in (1, 2, 3):
        machine.control(link, Close(BYE), 0.4)
        machine.lost(link, "finished", 0.4)
    does(machine, 0.4)
    assert machine.over


def test_a_stopped_pair_without_a_link_fails_what_is_queued_and_calls_nobody() -> None:
    machine = linked(larger())
    machine.lost(1, "eof", 1.0)
    machine.submit("x", 1, 1.0)
    machine.stop(1.0)
    assert does(machine, 1.0) == ["down eof", "fail x: stopped"]
    assert machine.over


# --- restarts, bounds, requests


def test_a_new_start_of_the_peer_closes_the_links_of_the_former_one() -> None:
    machine = with_two(larger())
    machine.expecting(2, 1.0)
    machine.submit("x", 1, 1.0)
    machine.up(3, False, b"start 2", 1.0)
    assert does(machine, 1.0) == [
        "1: close old",
        "2: close old",
        "down restarted",
        "fail open before 1: restarted",
        "up 3",
        "3: x",
    ]
    assert machine.instance == b"start 2"
    assert machine.usable_links == [3]
    assert machine.links == 3, "what is still under way on them may come"


def test_a_restart_without_any_link_left_fails_the_requests_too() -> None:
    machine = linked(larger())
    machine.expecting(1, 1.0)
    machine.lost(1, "eof", 1.0)
    assert does(machine, 1.0) == ["down eof", "dial"]
    machine.up(2, True, b"start 2", 2.0)
    assert does(machine, 2.0) == ["fail open before 2: restarted", "up 2", "2: ping 1"]


def test_of_too_many_links_the_longest_silent_one_goes() -> None:
    machine = linked(smaller(replace(PLAIN, max_links=2)))
    machine.up(2, False, START, 1.0)
    machine.heard(1, 2.0)
    machine.up(3, False, START, 3.0)
    assert does(machine, 3.0) == ["2 drop full"]
    assert machine.usable_links == [1, 3]
    machine.stop(4.0)
    does(machine, 4.0)
    machine.up(4, False, START, 5.0)
    assert machine.links == 2, "a pair that stops has its bound too"


def test_requests_get_five_seconds_after_the_last_link_is_lost() -> None:
    machine = linked(larger())
    machine.expecting(1, 1.0)
    machine.lost(1, "eof", 1.0)
    does(machine, 1.0)
    assert does(machine, 5.9) == []
    assert does(machine, 6.0) == ["fail open before 1: lost"]


def test_requests_get_no_more_when_another_link_stands() -> None:
    machine = linked(smaller())
    machine.up(2, False, START, 0.0)
    machine.expecting(1, 1.0)
    machine.lost(2, "broken", 1.0)
    assert machine.advance(1.0)[1] == 6.0
    machine.expecting(2, 3.0)  # one more, asked after the loss: it is not meant
    assert does(machine, 6.0) == ["fail open before 1: lost"]


def test_requests_that_were_answered_meanwhile_are_not_failed() -> None:
    machine = linked(larger())
    machine.expecting(1, 1.0)
    machine.lost(1, "eof", 1.0)
    does(machine, 1.0)
    machine.up(2, True, START, 2.0)
    does(machine, 2.0)
    machine.expecting(0, 3.0)
    assert "fail open before 1: lost" not in does(machine, 6.0)


def test_a_spare_link_that_is_closed_in_good_order_puts_no_request_in_doubt() -> None:
    machine = with_two(smaller())
    machine.expecting(1, 1.0)
    machine.control(1, Close(SPARE), 1.0)
    does(machine, 1.0)
    machine.lost(1, "finished", 1.1)
    assert does(machine, 9.0) == []


def test_losses_in_a_row_keep_nobody_waiting_for_more_than_twice_the_grace() -> None:
    machine = linked(smaller(replace(PLAIN, max_links=9)))
    machine.expecting(1, 0.0)
    for link in range(2, 8):
        machine.up(link, False, START, link - 1.0)
        machine.lost(link, "eof", link - 1.0)
    failed = [(now, word) for now in range(1, 20) for word in does(machine, float(now)) if "fail" in word]
    assert failed == [(6, "fail open before 1: lost"), (11, "fail open before 6: lost")]


def test_a_link_is_up_once() -> None:
    machine = linked(larger())
    with pytest.raises(ValueError, match="up already"):
        machine.up(1, True, START, 1.0)
