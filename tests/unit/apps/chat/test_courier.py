"""The courier by itself: who is due when, on a clock that the tests set."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from kadnet.apps.chat.courier import Courier, Deliver
from kadnet.apps.chat.settings import ChatSettings

A, B, C = b"A" * 32, b"B" * 32, b"C" * 32
EXACT = ChatSettings(jitter=0)


def courier(**settings: float) -> Courier:
    return Courier(replace(EXACT, **settings), random.Random(1))  # type: ignore[arg-type]  # some are ints


def due(machine: Courier, now: float) -> list[bytes]:
    return [action.recipient for action in machine.advance(now)[0]]


def test_nobody_is_due_until_something_is_queued() -> None:
    machine = courier()
    assert machine.advance(0.0) == ([], None)
    machine.queued(A, 5.0)
    assert machine.advance(5.0) == ([Deliver(A)], None)
    assert len(machine) == 1


def test_what_was_delivered_leaves_nothing_behind() -> None:
    machine = courier()
    machine.queued(A, 0.0)
    due(machine, 0.0)
    machine.ended(A, True, 1.0)
    assert machine.advance(1e9) == ([], None)
    assert (len(machine), machine.next_try(A)) == (0, None)


def test_after_failures_it_waits_1_2_4_8_16_30_and_30_seconds() -> None:
    machine, now, pauses = courier(), 100.0, []
    machine.queued(A, now)
    for _ in range(8):
        assert due(machine, now) == [A]
        now += 0.25  # the attempt takes its time; the pause is between attempts
        machine.ended(A, False, now)
        actions, wake_at = machine.advance(now)
        assert actions == []
        assert wake_at is not None
        assert machine.next_try(A) == wake_at
        assert due(machine, wake_at - 0.001) == []
        pauses.append(wake_at - now)
        now = wake_at
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_those_who_wait_for_one_who_is_gone_do_not_come_all_together() -> None:
    pauses = set()
    for seed in range(50):
        machine = Courier(ChatSettings(), random.Random(seed))
        machine.queued(A, 0.0)
        due(machine, 0.0)
        machine.ended(A, False, 0.0)
        pauses.add(machine.next_try(A))
    assert len(pauses) == 50
    assert all(pause is not None and 0.9 <= pause <= 1.1 for pause in pauses)


def test_success_begins_the_pauses_anew() -> None:
    machine = courier()
    for now in (0.0, 10.0):
        machine.queued(A, now)
        due(machine, now)
        machine.ended(A, False, now)
        assert machine.next_try(A) == now + 1
        due(machine, now + 1)
        machine.ended(A, True, now + 1)


def test_a_new_message_ends_the_pause_and_the_pauses_go_on_doubling() -> None:
    machine = courier()
    machine.queued(A, 0.0)
    due(machine, 0.0)
    machine.ended(A, False, 0.0)
    due(machine, 1.0)
    machine.ended(A, False, 1.0)  # the next would be at 3
    machine.queued(A, 1.5)
    assert due(machine, 1.5) == [A]
    machine.ended(A, False, 1.5)
    assert machine.next_try(A) == 5.5
    assert due(machine, 3.0) == []  # the pause that was ended is over, and means nothing


def test_nobody_is_twice_under_way() -> None:
    machine = courier()
    machine.queued(A, 0.0)
    assert due(machine, 0.0) == [A]
    machine.queued(A, 0.0)
    machine.heard(A, 0.5, unasked=True)
    assert machine.advance(1.0) == ([], None)
    assert machine.next_try(A) is None


def test_one_who_is_heard_is_due_at_once_and_not_more_than_once_a_second() -> None:
    machine = courier()
    machine.queued(A, 0.0)
    for now in (0.0, 1.0, 3.0, 7.0):
        due(machine, now)
        machine.ended(A, False, now)  # the last pause is of 8 seconds
    machine.heard(A, 7.5, unasked=False)
    assert machine.advance(7.5) == ([], 8.0)
    assert due(machine, 8.0) == [A]
    machine.ended(A, False, 8.0)
    machine.heard(A, 12.0, unasked=False)
    assert due(machine, 12.0) == [A]


def test_one_for_whom_nothing_waits_may_be_heard_as_often_as_it_likes() -> None:
    machine = courier()
    machine.heard(A, 1.0, unasked=True)
    assert machine.advance(1.0) == ([], None)
    assert len(machine) == 0


def test_a_sign_of_life_never_puts_off_a_try() -> None:
    machine = courier()
    machine.queued(A, 0.0)
    due(machine, 0.0)
    machine.ended(A, False, 0.0)
    machine.heard(A, 0.9, unasked=False)
    assert machine.next_try(A) == 1.0


def test_what_our_own_attempt_brought_about_is_no_sign_of_life() -> None:
    """One who answers calls and refuses messages is not tried every second."""
    machine = courier()
    machine.queued(A, 0.0)
    for now, pause in ((0.0, 1.0), (1.0, 2.0), (3.0, 4.0)):
        due(machine, now)
        machine.heard(A, now, unasked=False)
        machine.ended(A, False, now)
        machine.heard(A, now, unasked=False)
        assert machine.next_try(A) == now + pause


def test_one_who_came_to_us_during_an_attempt_that_failed_is_tried_soon() -> None:
    machine = courier()
    machine.queued(A, 0.0)
    for now in (0.0, 1.0, 3.0):
        due(machine, now)
        machine.ended(A, False, now)
    due(machine, 7.0)
    machine.heard(A, 7.2, unasked=True)
    machine.ended(A, False, 7.4)
    assert machine.next_try(A) == 8.0
    due(machine, 8.0)
    machine.ended(A, False, 8.0)
    assert machine.next_try(A) == 24.0


def test_no_more_than_so_many_are_under_way_and_each_end_makes_room() -> None:
    machine = courier(at_once=2)
    for recipient in (A, B, C):
        machine.queued(recipient, 0.0)
    assert machine.advance(0.0) == ([Deliver(A), Deliver(B)], None)
    machine.ended(B, False, 5.0)
    assert due(machine, 5.0) == [C]
    machine.ended(A, False, 7.0)
    assert machine.advance(7.0) == ([Deliver(B)], None)  # it was due at 6


def test_new_messages_and_pauses_that_are_over_take_turns() -> None:
    machine = courier(at_once=1)
    old, new = [bytes([n]) for n in range(4)], [bytes([100 + n]) for n in range(4)]
    machine.restarted(old, 0.0)
    order = []
    for each in new:
        machine.queued(each, 5.0)
    while recipients := due(machine, 5.0):
        order += recipients
        machine.ended(recipients[0], True, 5.0)
    assert [each in new for each in order] == [True, False] * 4
    assert [each for each in order if each in new] == new


def test_of_many_who_are_gone_nobody_is_left_out() -> None:
    machine = courier(at_once=4, spread=0)
    everybody = {n.to_bytes(2, "big") for n in range(200)}
    machine.restarted(sorted(everybody), 0.0)
    tried: list[bytes] = []
    now = 0.0
    while len(tried) < 600:
        under_way = due(machine, now)
        tried += under_way
        now += 3
        for recipient in under_way:
            machine.ended(recipient, False, now)
    assert set(tried[:200]) == set(tried[200:400]) == everybody


def test_after_a_restart_everybody_is_due_within_the_spread() -> None:
    machine = courier(at_once=1000, spread=1.0)
    machine.restarted([n.to_bytes(2, "big") for n in range(100)], 50.0)
    times: list[float] = []
    now: float | None = 50.0
    while now is not None:
        actions, wake_at = machine.advance(now)
        times += [now] * len(actions)
        now = wake_at
    assert len(times) == 100
    assert len(set(times)) > 50
    assert 50.0 <= min(times) <= max(times) <= 51.0


def test_what_it_remembers_is_bounded_by_the_recipients() -> None:
    machine = courier(first_retry=30)
    machine.queued(B, 0.0)
    due(machine, 0.0)
    machine.ended(B, False, 0.0)  # and so stands in front of all that comes now
    for number in range(1, 10_000):
        now = number / 1000
        machine.queued(A, now)
        assert due(machine, now) == [A]
        machine.ended(A, False, now)
    assert len(machine._fresh) + len(machine._again) <= 2 * 65
    assert due(machine, 30.0) == [B]


def test_jitter_is_drawn_for_every_pause() -> None:
    machine = Courier(ChatSettings(), random.Random(4))
    machine.queued(A, 0.0)
    now, seen = 0.0, []
    for pause in (1, 2, 4, 8, 16, 30, 30):
        due(machine, now)
        machine.ended(A, False, now)
        at = machine.next_try(A)
        assert at is not None
        assert at - now == pytest.approx(pause, rel=0.1001)
        seen.append((at - now) / pause)
        now = at
    assert len(set(seen)) == 7
