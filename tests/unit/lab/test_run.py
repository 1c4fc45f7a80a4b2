"""Scenarios on virtual time: running them, waiting in them, and the machines they run on."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Iterator
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock

from kadnet import lab
from kadnet.lab import EPOCH, Timeout, VirtualWall, replay_line, run, run_until, virtual_internet, virtual_runtime
from kadnet.runtime import Runtime


def machine(seed: int, name: str) -> Runtime:
    async def main() -> Runtime:
        async with virtual_internet() as internet:
            return virtual_runtime(internet.host(name), seed, name)

    return run(main)


def test_a_year_passes_at_once_and_the_result_comes_back() -> None:
    async def main(days: int) -> float:
        start = trio.current_time()
        await trio.sleep(days * 86_400)
        return trio.current_time() - start

    assert run(main, 29) == pytest.approx(29 * 86_400)


def test_every_run_starts_at_the_same_virtual_time() -> None:
    async def main() -> float:
        return trio.current_time()

    assert run(main, seed=1) == run(main, seed=2)


def test_a_run_that_hangs_ends_at_its_virtual_limit_and_names_its_seed() -> None:
    with pytest.raises(Timeout, match=r"did not end in 100 virtual seconds") as caught:
        run(trio.sleep_forever, seed=41, virtual_limit=100)
    assert caught.value.__notes__ == ["seed 41 shows it again: run(sleep_forever, seed=41)"]


def fails(*_with: object) -> NoReturn:
    raise KeyError("mine")


async def fails_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails_later)


async def fails_later() -> None:
    fails()


async def fails_with(_what: object) -> None:
    fails()


def test_whatever_a_run_raises_says_how_to_see_it_again() -> None:
    with pytest.raises(KeyError) as caught:
        run(fails_with, "this", seed=7)
    assert caught.value.__notes__ == ["seed 7 shows it again: run(fails_with, ..., seed=7)"]
    with pytest.raises(ExceptionGroup) as group:
        run(fails_in_a_nursery, seed=8)
    assert group.value.__notes__ == [
        "what ended it: KeyError: 'mine'",
        "seed 8 shows it again: run(fails_in_a_nursery, seed=8)",
    ]


def test_of_several_errors_in_a_group_none_is_said_to_have_ended_it() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_later)
            nursery.start_soon(fails_later)

    with pytest.raises(ExceptionGroup) as group:
        run(main, seed=8)
    assert group.value.__notes__ == ["seed 8 shows it again: run(main, seed=8)"]


def test_a_harness_says_what_to_type_to_see_it_again() -> None:
    token = replay_line.set(lambda seed: f"pytest 'tests/x.py::test_y' --lab-seeds={seed}")
    try:
        with pytest.raises(KeyError) as caught:
            run(fails_later, seed=9)
    finally:
        replay_line.reset(token)
    assert caught.value.__notes__ == ["seed 9 shows it again: pytest 'tests/x.py::test_y' --lab-seeds=9"]


async def test_run_until_returns_soon_after_the_condition_and_says_how_long_it_took(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    took = await run_until(lambda: trio.current_time() >= start + 5, 10)
    assert 5 <= took <= 5.02
    assert took == trio.current_time() - start


async def test_run_until_looks_a_last_time_when_its_time_is_up(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    await run_until(lambda: trio.current_time() >= start + 1, 1, step=0.7)


def test_run_until_names_the_condition_and_the_seed() -> None:
    def the_ring_is_closed() -> bool:
        return False

    async def main() -> None:
        await run_until(the_ring_is_closed, 3)

    with pytest.raises(Timeout, match=r"not true after 3 virtual seconds: the_ring_is_closed\n") as caught:
        run(main, seed=42)
    assert caught.value.__notes__ == ["seed 42 shows it again: run(main, seed=42)"]


async def test_run_until_outside_a_run_names_no_seed(autojump_clock: MockClock) -> None:
    def condition() -> bool:
        """everybody knows everybody"""
        return False

    with pytest.raises(Timeout, match=r"seconds: everybody knows everybody$"):
        await run_until(condition, 1)
    with pytest.raises(Timeout, match=r"await run_until\(lambda: 1 > 2, 1\)` \(line \d+\)$"):
        await run_until(lambda: 1 > 2, 1)


async def test_run_until_refuses_a_condition_that_would_have_to_be_awaited(autojump_clock: MockClock) -> None:
    async def never() -> bool:
        return False

    awaitable = Awaitable()
    for condition in (never, lambda: never(), lambda: awaitable):
        with pytest.raises(TypeError, match="does not await it; make it a plain function"):
            await run_until(condition, 5)


class Awaitable:
    """What is no coroutine and may be awaited all the same."""

    def __await__(self) -> Iterator[None]:
        return iter(())


def test_chance_and_entropy_are_functions_of_seed_and_name() -> None:
    draws = [
        (runtime.rng.getrandbits(64), runtime.entropy(32), runtime.entropy(32))
        for runtime in (machine(1, "alice"), machine(1, "alice"), machine(1, "bob"), machine(2, "alice"))
    ]
    assert draws[0] == draws[1]
    assert len({*draws}) == 3
    assert draws[0][1] != draws[0][2]
    assert len(draws[0][1]) == 32


def test_each_machine_has_a_wall_clock_that_can_be_set_wrong() -> None:
    async def main() -> None:
        async with virtual_internet() as internet:
            host = internet.host("alice")
            wall = VirtualWall(offset=-3600)
            runtime = virtual_runtime(host, 0, "alice", wall=wall)
            right = virtual_runtime(host, 0, "alice")
            assert runtime.wall() == right.wall() - 3600
            assert right.wall() == EPOCH + runtime.now()
            wall.offset = 10
            assert runtime.wall() == right.wall() + 10
            await trio.sleep(5)
            assert right.wall() == EPOCH + runtime.now() == EPOCH + trio.current_time()

    run(main)


def test_offloaded_work_is_done_on_the_spot_and_takes_no_virtual_time() -> None:
    async def main() -> None:
        async with virtual_internet() as internet:
            runtime = virtual_runtime(internet.host("alice"), 0, "alice")
            ticks: list[float] = []
            internet.after(1, lambda: ticks.append(runtime.now()))
            start = runtime.now()
            with trio.testing.assert_checkpoints():
                assert await runtime.offload(lambda: sum(range(300_000))) == 44_999_850_000
            assert runtime.now() == start
            assert not ticks
            with pytest.raises(ZeroDivisionError):
                await runtime.offload(lambda: 1 / 0)

    run(main)


def test_the_network_of_a_machine_is_its_host() -> None:
    assert isinstance(machine(0, "alice").network, lab.VirtualNetwork)
