from __future__ import annotations

import pytest

from kadnet.wire.envelopes import Keep, Kept, Pong
from tests.unit.links.machines import PLAIN, START, does, larger, linked, smaller, with_two


def test_the_larger_id_pings_both_and_holds_its_messages_until_one_is_kept() -> None:
    machine = linked(larger())
    machine.up(2, False, START, 1.0)
    assert does(machine, 1.0) == ["1: ping 1", "2: ping 1"]
    machine.submit("x", 1, 1.0)
    assert machine.current is None
    machine.control(2, Pong(1), 2.0)
    actions, wake_at = machine.advance(2.0)
    assert actions == []
    assert wake_at == 2.0 + PLAIN.tie
    assert does(machine, 2.0 + PLAIN.tie) == ["2: keep"]
    machine.control(2, Kept(), 3.0)
    assert does(machine, 3.0) == ["1: close spare", "2: x"]
    assert machine.usable_links == [2]
    assert machine.links == 2


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_on_a_tie_the_link_that_it_dialed_itself_stays(first: int, second: int) -> None:
    machine = with_two(larger())
    machine.control(first, Pong(1), 1.0)
    assert does(machine, 1.0) == []
    machine.control(second, Pong(1), 1.0 + PLAIN.tie / 2)
    assert does(machine, 1.0 + PLAIN.tie / 2) == ["2: keep"], "all have answered"


def test_a_pong_of_an_earlier_ping_decides_nothing() -> None:
    machine = linked(larger())
    does(machine, 10.0)  # a heartbeat, ping 1
    machine.up(2, False, START, 11.0)
    assert does(machine, 11.0) == ["1: ping 2", "2: ping 2"]
    machine.control(1, Pong(1), 12.0)
    assert machine.advance(13.0)[0] == []


def test_the_smaller_id_closes_none_and_sends_on_the_link_it_last_heard_from() -> None:
    machine = with_two(smaller())
    assert machine.current == 2
    machine.heard(1, 1.0)
    assert machine.current == 1
    machine.control(2, Keep(), 1.0)
    machine.submit("x", 1, 1.0)
    assert does(machine, 1.0) == ["2: kept", "2: x"]
    machine.control(2, Kept(), 1.0)
    assert does(machine, 2.0) == []
    assert machine.usable == 2


def test_a_further_link_begins_a_new_round() -> None:
    machine = with_two(larger())
    machine.control(2, Pong(1), 1.0)
    assert does(machine, 1.1) == ["2: keep"]
    machine.up(3, False, START, 1.2)
    assert does(machine, 1.2) == ["1: ping 2", "2: ping 2", "3: ping 2"]
    machine.control(3, Pong(2), 1.3)
    assert does(machine, 1.4) == ["3: keep"]


def test_the_first_kept_decides_though_it_answers_an_earlier_round() -> None:
    machine = with_two(larger())
    machine.control(2, Pong(1), 1.0)
    does(machine, 1.1)
    machine.up(3, False, START, 1.2)
    does(machine, 1.2)
    machine.control(2, Kept(), 1.3)
    assert does(machine, 1.3) == ["1: close spare", "3: close spare"]
    machine.control(3, Kept(), 1.4)
    assert does(machine, 1.4) == []


def test_when_the_winner_is_lost_before_kept_there_is_a_new_round() -> None:
    machine = with_two(larger())
    machine.up(3, False, START, 0.5)
    assert does(machine, 0.5) == ["1: ping 2", "2: ping 2", "3: ping 2"]
    machine.control(2, Pong(2), 1.0)
    assert does(machine, 1.1) == ["2: keep"]
    machine.lost(2, "eof", 1.2)
    assert does(machine, 1.2) == ["1: ping 3", "3: ping 3"]


def test_when_kept_does_not_come_in_time_there_is_a_new_round() -> None:
    machine = with_two(larger())
    machine.submit("x", 1, 0.0)
    machine.control(2, Pong(1), 1.0)
    assert does(machine, 1.1) == ["2: keep"]
    assert does(machine, 1.1 + PLAIN.kept_within) == ["1: ping 2", "2: ping 2"]
    machine.control(1, Pong(2), 7.0)
    assert does(machine, 7.1) == ["1: keep"]
    machine.control(1, Kept(), 7.2)
    assert does(machine, 7.2) == ["2: close spare", "1: x"]


def test_the_link_that_is_left_is_used_at_once_and_heard_of_by_the_peer() -> None:
    machine = with_two(larger())
    machine.submit("x", 1, 0.0)
    machine.lost(2, "broken", 1.0)
    assert does(machine, 1.0) == ["1: ping 2", "1: x"]


def test_a_link_that_goes_in_the_midst_of_a_round_is_not_waited_for() -> None:
    machine = with_two(larger())
    machine.up(3, False, START, 0.5)
    does(machine, 0.5)
    machine.control(1, Pong(2), 1.0)
    machine.control(3, Pong(2), 1.0)
    machine.lost(2, "eof", 1.0)
    assert does(machine, 1.0) == ["1: keep"]
    assert machine.usable == 2
