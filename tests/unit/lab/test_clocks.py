"""The clocks of a machine, and pumps that follow them."""

from __future__ import annotations

# ruff: noqa: TID251 -- a clock of the lab is measured against trio's
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from kadnet.lab import EPOCH, VirtualClock, VirtualWall
from kadnet.lab.run import DAY
from kadnet.pump import OwnClock, Pump


@asynccontextmanager
async def pump_on(clock: VirtualClock) -> AsyncIterator[Pump]:
    pump = Pump(clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        yield pump
        nursery.cancel_scope.cancel()


async def test_both_clocks_follow_trios_until_they_are_moved(autojump_clock: MockClock) -> None:
    wall, clock = VirtualWall(), VirtualClock()
    await trio.sleep(5)
    assert clock() == trio.current_time()
    assert wall() == EPOCH + trio.current_time()
    wall.offset = -60.0
    clock.jump(3600)
    assert clock() == trio.current_time() + 3600
    assert wall() == EPOCH + trio.current_time() - 60


@pytest.mark.parametrize("seconds", [-1.0, 1e18, math.inf, math.nan])
async def test_a_monotonic_clock_does_not_jump_back_nor_out_of_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="jumps ahead"):
        VirtualClock().jump(seconds)


async def test_a_monotonic_clock_jumps_a_hundred_years_and_no_further_a_wall_clock_anywhere(
    autojump_clock: MockClock,
) -> None:
    century = 100 * 365.25 * DAY
    clock, wall = VirtualClock(), VirtualWall(-1e12)
    clock.jump(century)
    with pytest.raises(ValueError, match="up to 100 years in all"):
        clock.jump(1)
    assert clock() == trio.current_time() + century
    for seconds in (math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match="a number of seconds"):
            wall.offset = seconds
        with pytest.raises(ValueError, match="a number of seconds"):
            VirtualWall(seconds)
    assert wall() == EPOCH + trio.current_time() - 1e12


async def test_a_frozen_clock_stands_still_and_has_caught_up_when_it_thaws(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    await trio.sleep(1)
    stood_at = clock()
    clock.freeze()
    await trio.sleep(10)
    clock.freeze()
    clock.jump(100)
    assert clock() == stood_at
    clock.thaw()
    assert clock() == trio.current_time() + 100


async def test_a_jump_makes_due_what_lies_in_it_and_nothing_else(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    ran: list[tuple[str, float]] = []
    async with pump_on(clock) as pump:
        start = clock()
        pump.call_at(start + 5000, lambda: ran.append(("later", trio.current_time())))
        pump.call_at(start + 3000, lambda: ran.append(("within", trio.current_time())))
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(3600)
        await trio.testing.wait_all_tasks_blocked()
        assert [name for name, _ in ran] == ["within"]
        await trio.sleep(2000)
    assert [name for name, _ in ran] == ["within", "later"]
    assert [at - start for _, at in ran] == pytest.approx([0, 1400])


async def test_after_a_jump_an_earlier_deadline_still_wakes_the_pump_in_time(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    ran: list[float] = []
    async with pump_on(clock) as pump:
        clock.jump(3600)
        pump.call_at(clock() + 100, lambda: None)
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        pump.call_at(clock() + 2, lambda: ran.append(trio.current_time() - start))
        await trio.sleep(50)
    assert ran == pytest.approx([2])


async def test_while_its_clock_is_frozen_a_pump_turns_nothing(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    ran: list[float] = []
    async with pump_on(clock) as pump:
        pump.call_at(clock() + 5, lambda: ran.append(trio.current_time()))
        await trio.testing.wait_all_tasks_blocked()
        clock.freeze()
        pump.call_at(clock() + 1, lambda: ran.append(trio.current_time()))
        await trio.sleep(60)
        assert ran == []
        clock.thaw()
        await trio.testing.wait_all_tasks_blocked()
        assert ran == [trio.current_time()] * 2


class Counted(VirtualClock):
    """Says when a pump asks it again and again for the same moment."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def deadline(self, when: float) -> float:
        self.asked += 1
        assert self.asked < 10_000, "the pump spins, and virtual time stands still"
        return super().deadline(when)


async def test_rounding_between_two_clocks_lets_no_pump_spin(autojump_clock: MockClock) -> None:
    """Half of the least step of trio's clock is rounded away: a deadline would be too early, again and again."""
    clock, chance = Counted(), random.Random(1)
    left = 500

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            pump.call_at(clock() + chance.random() / 100, again)

    autojump_clock.jump(1e7)
    async with pump_on(clock) as pump:
        clock.jump(math.ulp(1e7) / 2)
        again()
        await trio.sleep(60)
    assert left == 0


def test_a_pump_takes_it_for_a_clock_of_its_own() -> None:
    assert isinstance(VirtualClock(), OwnClock)
    assert not isinstance(trio.current_time, OwnClock)
