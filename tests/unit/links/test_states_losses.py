from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from kadnet.links.states import Dial, Peering, StateSettings
from kadnet.wire.envelopes import Ping, Pong
from tests.unit.links.machines import LARGE, PLAIN, SMALL, START, does, larger, linked, smaller

# --- losses


def test_a_lost_link_is_called_again_after_a_pause_and_then_after_longer_ones() -> None:
    machine = linked(larger())
    machine.lost(1, "eof", 20.0)
    assert machine.advance(20.0)[1] == 21.0
    for began, ended, due in [(21.0, 21.5, 23.5), (23.5, 24.0, 28.0)]:
        assert does(machine, began) == ["dial"]
        machine.dial_failed("refused", ended)
        assert machine.advance(ended) == ([], due)
    assert does(machine, 28.0) == ["dial"]
    machine.dial_failed("refused", 28.5)
    assert machine.advance(28.5) == ([], None)
    assert machine.over


@pytest.mark.parametrize("waiting", ["a message", "a request"])
def test_a_link_lost_while_somebody_waits_is_called_again_at_once(waiting: str) -> None:
    machine = linked(larger())
    if waiting == "a request":
        machine.expecting(1, 20.0)
    machine.submit("x", 1, 20.0)
    does(machine, 20.0)
    machine.submit("y", 1, 20.0)
    if waiting == "a request":
        machine.cancel("y")
    machine.lost(1, "broken", 20.0)
    assert does(machine, 20.0) == ["down broken", "dial"]


def test_what_waits_through_all_calls_after_a_loss_is_failed_at_the_last() -> None:
    machine = linked(larger())
    machine.lost(1, "eof", 20.0)
    does(machine, 20.0)
    machine.submit("x", 1, 20.5)
    assert does(machine, 20.5) == ["dial"], "nobody was called in vain yet"
    machine.dial_failed("refused", 21.0)
    machine.submit("y", 1, 21.5)
    assert does(machine, 21.5) == [], "now there is a reason to wait"
    for now in (23.0, 27.0):
        assert does(machine, now) == ["dial"]
        machine.dial_failed("refused", now)
    assert does(machine, 27.0) == ["fail x y: refused"]


def test_what_a_lost_link_was_handed_is_not_sent_again_and_the_rest_moves_over() -> None:
    machine = linked(larger())
    machine.submit("x", 1, 0.0)
    does(machine, 0.0)
    machine.submit("y", 1, 0.0)
    machine.lost(1, "eof", 1.0)
    assert does(machine, 1.0) == ["down eof", "dial"]
    machine.up(2, True, START, 1.5)
    assert does(machine, 1.5) == ["up 2", "2: ping 1", "2: y"]


def test_an_incoming_link_ends_the_calls() -> None:
    machine = linked(larger())
    machine.lost(1, "eof", 20.0)
    does(machine, 20.0)
    machine.up(2, False, START, 20.5)
    assert does(machine, 20.5) == ["up 2"]
    assert does(machine, 25.0) == []


def test_a_link_that_breaks_whenever_it_is_used_is_not_called_for_ever() -> None:
    machine = larger(replace(PLAIN, batch_items=1))
    for number in range(100):
        machine.submit(str(number), 1, 0.0)
    now, link, dialed = 0.0, 0, []
    while machine.queued[0]:
        actions, wake_at = machine.advance(now)
        if Dial() in actions:
            dialed.append(now)
            link += 1
            machine.up(link, True, START, now)
            machine.advance(now)
            machine.lost(link, "broken", now)
        elif wake_at is not None:
            now = wake_at
    assert dialed == [0.0, 0.0, 2.0, 6.0]
    assert len(dialed) == link


def test_pauses_are_drawn_around_their_middle() -> None:
    drawn = []
    for seed in range(200):
        machine = Peering(LARGE, SMALL, StateSettings(), random.Random(seed))
        linked(machine)
        machine.lost(1, "eof", 20.0)
        drawn.append((machine.advance(20.0)[1] or math.nan) - 20.0)
    assert 0.5 <= min(drawn) < 0.55
    assert 1.45 < max(drawn) <= 1.5


def test_no_second_call_begins_while_one_is_under_way() -> None:
    machine = larger()
    machine.submit("x", 1, 0.0)
    assert does(machine, 0.0) == ["dial"]
    machine.up(1, False, START, 1.0)
    does(machine, 1.0)
    machine.submit("y", 1, 1.0)
    machine.lost(1, "eof", 2.0)
    assert does(machine, 2.0) == ["down eof"]
    assert does(machine, 4.0) == []
    machine.dial_failed("refused", 4.5)
    assert does(machine, 4.5) == ["dial"], "that one was begun before the loss"


# --- heartbeat


def test_a_quiet_link_is_pinged_and_the_pong_gives_the_round_trip() -> None:
    machine = linked(larger())
    assert machine.rtt is None
    assert machine.advance(0.0)[1] == 10.0
    assert does(machine, 10.0) == ["1: ping 1"]
    machine.control(1, Pong(1), 10.25)
    assert machine.rtt == 0.25
    machine.control(1, Pong(1), 11.0)
    assert machine.rtt == 0.25


def test_what_is_sent_is_as_good_as_a_ping() -> None:
    machine = linked(larger())
    machine.submit("x", 1, 9.0)
    does(machine, 9.0)
    assert does(machine, 10.0) == []
    assert does(machine, 19.0) == ["1: ping 1"]


def test_messages_do_not_move_the_deadline_of_the_pump() -> None:
    machine = linked(larger())
    wakes = []
    for now in range(25):
        machine.submit(str(now), 1, float(now))
        machine.heard(1, float(now))
        wakes.append(machine.advance(float(now))[1])
        machine.ready(1, float(now))
    assert sorted({wake for wake in wakes if wake is not None}) == [10.0, 20.0, 30.0]


def test_every_ping_is_answered() -> None:
    machine = linked(smaller())
    machine.control(1, Ping(7), 1.0)
    machine.control(1, Ping(8), 1.0)
    assert does(machine, 1.0) == ["1: pong 7", "1: pong 8"]


def test_a_link_that_is_silent_for_thirty_seconds_is_dead() -> None:
    machine = linked(larger())
    machine.heard(1, 5.0)
    for now in (10.0, 20.0, 30.0):
        assert does(machine, now)[0].startswith("1: ping")
    assert does(machine, 34.9) == []
    assert does(machine, 35.0) == ["1 drop silent", "down silent"]
    machine.heard(1, 35.0)
    machine.control(1, Ping(1), 35.0)
    machine.ready(1, 35.0)
    machine.lost(1, "stopped", 35.0)
    assert does(machine, 35.0) == [], "what is told of a forgotten link is ignored"
