"""The heap of deadlines: order, waking, cancelling, machines."""

from __future__ import annotations

# ruff: noqa: TID251 -- a pump is given trio's clock, which elsewhere comes as runtime.now
import math
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from kadnet.pump import Pump, PumpSettings


async def test_callbacks_run_at_their_time_and_ties_in_the_order_they_were_made(autojump_clock: MockClock) -> None:
    pump = Pump(trio.current_time)
    start = trio.current_time()
    seen: list[tuple[str, float]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, trio.current_time() - start))

    for name, delay in (("late", 2.0), ("first", 1.0), ("second", 1.0), ("third", 1.0)):
        pump.call_at(start + delay, note(name))
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert [name for name, _ in seen] == ["first", "second", "third", "late"]
    assert [at for _, at in seen] == pytest.approx([1.0, 1.0, 1.0, 2.0])


async def test_an_earlier_deadline_wakes_the_sleeping_pump(autojump_clock: MockClock) -> None:
    pump = Pump(trio.current_time)
    start = trio.current_time()
    seen: list[float] = []
    pump.call_at(start + 100.0, lambda: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        pump.call_at(start + 2.0, lambda: seen.append(trio.current_time() - start))
        pump.call_at(start + 1.0, lambda: seen.append(trio.current_time() - start))
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert seen == pytest.approx([1.0, 2.0])


async def test_a_time_past_runs_at_the_next_turn_also_when_the_heap_was_empty(autojump_clock: MockClock) -> None:
    pump = Pump(trio.current_time)
    ran = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        pump.call_at(-math.inf, ran.set)
        with trio.fail_after(1):
            await ran.wait()
        nursery.cancel_scope.cancel()


async def test_a_cancelled_timer_never_runs(autojump_clock: MockClock) -> None:
    pump = Pump(trio.current_time)
    seen: list[int] = []
    timers = [pump.call_at(trio.current_time() + 1, lambda n=n: seen.append(n)) for n in range(3)]  # type: ignore[misc]  # mypy cannot type a lambda's default
    timers[1].cancel()
    timers[1].cancel()
    assert len(pump) == 2
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert seen == [0, 2]
    timers[0].cancel()  # after it ran: nothing
    assert len(pump) == 0


async def test_cancelled_entries_do_not_pile_up_in_the_heap() -> None:
    pump = Pump(lambda: 0.0, PumpSettings(compact_from=8))
    kept = [pump.call_at(float(n), lambda: None) for n in range(10)]
    for n in range(10_000):
        pump.call_at(1e6 + n, lambda: None).cancel()
    assert len(pump) == len(kept)
    assert len(pump._heap) <= 2 * len(kept) + 8


async def test_a_rebuild_of_the_heap_during_a_turn_loses_nothing(autojump_clock: MockClock) -> None:
    pump = Pump(trio.current_time, PumpSettings(compact_from=4))
    start = trio.current_time()
    seen: list[int] = []
    doomed = [pump.call_at(start + 2, lambda: seen.append(-1)) for _ in range(50)]

    def cancel_all() -> None:
        for timer in doomed:
            timer.cancel()

    pump.call_at(start + 1, cancel_all)
    pump.call_at(start + 1, lambda: seen.append(1))
    pump.call_at(start + 3, lambda: seen.append(3))
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        await trio.sleep(4)
        nursery.cancel_scope.cancel()
    assert seen == [1, 3]


async def test_callbacks_that_always_have_more_to_do_do_not_starve_the_loop() -> None:
    pump = Pump(trio.current_time)

    def again() -> None:
        pump.call_at(-math.inf, again)

    again()
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        for _ in range(10):
            await trio.lowlevel.checkpoint()  # returns at all
        nursery.cancel_scope.cancel()


async def test_what_a_callback_raises_ends_the_run() -> None:
    pump = Pump(trio.current_time)

    def fault() -> None:
        raise LookupError("a fault of ours")

    pump.call_at(-math.inf, fault)
    with pytest.raises(LookupError, match="a fault of ours"):
        await pump.run()


async def test_two_tasks_cannot_turn_one_pump() -> None:
    pump = Pump(trio.current_time)
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        with pytest.raises(RuntimeError, match="already being turned"):
            await pump.run()
        nursery.cancel_scope.cancel()


class Countdown:
    """Says "tick" every `gap` seconds, `left` times."""

    def __init__(self, left: int, gap: float) -> None:
        self.left = left
        self.gap = gap
        self.next = -math.inf
        self.asked = 0

    def advance(self, now: float) -> tuple[list[str], float | None]:
        self.asked += 1
        if self.left == 0:
            return [], None
        if now < self.next:
            return [], self.next
        self.left -= 1
        self.next = now + self.gap
        return ["tick"], self.next


async def test_a_machine_is_asked_again_when_it_said(autojump_clock: MockClock) -> None:
    pump = Pump(trio.current_time)
    start = trio.current_time()
    ticks: list[float] = []
    handle = pump.add(Countdown(3, 1.5), lambda action: ticks.append(trio.current_time() - start))
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        handle.kick()
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert ticks == pytest.approx([0.0, 1.5, 3.0])
    assert len(pump) == 0


def test_a_kick_between_deadlines_leaves_one_timer() -> None:
    pump = Pump(lambda: 0.0)
    machine = Countdown(3, 1.5)
    handle = pump.add(machine, lambda action: None)
    for _ in range(5):
        handle.kick()
    assert machine.asked == 5
    assert len(pump) == 1


def test_infinity_arms_no_timer() -> None:
    pump = Pump(lambda: 0.0)
    pump.add(Countdown(1, math.inf), lambda action: None).kick()
    assert len(pump) == 0


class Questions:
    """A machine whose actions are answered on the spot."""

    def __init__(self) -> None:
        self.to_ask = ["a", "b"]
        self.depth = 0
        self.deepest = 0

    def advance(self, now: float) -> tuple[list[str], float | None]:
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        asked, self.to_ask = self.to_ask, []
        self.depth -= 1
        return asked, None


def test_a_kick_from_inside_perform_waits_for_the_actions_at_hand() -> None:
    pump = Pump(lambda: 0.0)
    machine = Questions()
    performed: list[str] = []
    depth = 0

    def perform(action: str) -> None:
        nonlocal depth
        depth += 1
        assert depth == 1, "recursion"
        performed.append(action)
        if len(action) < 3:
            machine.to_ask.append(action + "'")
            handle.kick()
        depth -= 1

    handle = pump.add(machine, perform)
    handle.kick()
    assert performed == ["a", "b", "a'", "b'", "a''", "b''"]


def test_a_stopped_machine_does_not_even_the_rest_of_the_actions_at_hand() -> None:
    pump = Pump(lambda: 0.0)
    machine = Questions()
    performed: list[str] = []

    def perform(action: str) -> None:
        performed.append(action)
        handle.stop()

    handle = pump.add(machine, perform)
    handle.kick()
    machine.to_ask.append("c")
    handle.kick()
    assert performed == ["a"]


def test_stopping_cancels_the_deadline() -> None:
    pump = Pump(lambda: 0.0)
    handle = pump.add(Countdown(3, 1.5), lambda action: None)
    handle.kick()
    handle.stop()
    handle.stop()
    assert len(pump) == 0


def test_a_fault_in_perform_leaves_the_machine_usable() -> None:
    pump = Pump(lambda: 0.0)
    machine = Questions()
    performed: list[str] = []

    def perform(action: str) -> None:
        if action == "a":
            raise LookupError("a fault of ours")
        performed.append(action)

    handle = pump.add(machine, perform)
    with pytest.raises(LookupError):
        handle.kick()
    machine.to_ask = ["c"]
    handle.kick()
    assert performed == ["c"]
