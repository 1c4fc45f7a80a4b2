"""Following the inbox: from any number, at any pace, by several, and nothing is lost or shown twice."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.apps.chat import ChatSettings
from kadnet.apps.chat.inbox import Inbox
from kadnet.errors import InputError, StorageFailed
from tests.unit.apps.fakes import Person, Wire, open_chat
from tests.unit.overlay.bench import on_virtual_time


@asynccontextmanager
async def two(settings: ChatSettings | None = None) -> AsyncIterator[tuple[Person, Person]]:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob", settings=settings) as bob:
        yield alice, bob


async def send(alice: Person, bob: Person, numbers: range) -> None:
    for number in numbers:
        assert (await alice.chat.send(bob.id, f"message {number}")).state == "delivered"


async def take(inbox: Inbox, count: int) -> list[int]:
    return [(await anext(inbox)).number for _ in range(count)]


async def nothing_more(inbox: Inbox) -> bool:
    with trio.move_on_after(100):
        await anext(inbox)
        return False
    return True


@on_virtual_time
async def test_a_late_reader_has_all_from_the_first_and_then_waits() -> None:
    async with two(ChatSettings(page=3)) as (alice, bob):
        await send(alice, bob, range(10))
        async with bob.chat.messages() as inbox:
            assert await take(inbox, 10) == list(range(1, 11))
            assert await nothing_more(inbox)


@on_virtual_time
async def test_a_reader_begins_behind_the_number_it_names() -> None:
    async with two() as (alice, bob):
        await send(alice, bob, range(5))
        async with bob.chat.messages(after=3) as inbox:
            assert await take(inbox, 2) == [4, 5]
        async with bob.chat.messages(after=7) as inbox:
            await send(alice, bob, range(4))
            assert await take(inbox, 2) == [8, 9]


@on_virtual_time
async def test_a_reader_that_waits_is_woken_by_each_message_at_once() -> None:
    async with two() as (alice, bob), trio.open_nursery() as nursery, bob.chat.messages() as inbox:
        seen: dict[str, float] = {}

        async def read() -> None:
            async for message in inbox:
                seen[message.text] = trio.current_time()

        nursery.start_soon(read)
        for number in range(3):
            await trio.sleep(100)
            await send(alice, bob, range(number, number + 1))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == {"message 0": 100, "message 1": 200, "message 2": 300}
        nursery.cancel_scope.cancel()


@on_virtual_time
async def test_a_message_that_comes_again_wakes_nobody() -> None:
    wire = Wire(answers_lost=5)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob, bob.chat.messages() as inbox:
        assert (await alice.chat.send(bob.id, "once")).state == "queued"
        assert (await anext(inbox)).text == "once"
        rung = 0

        async def count() -> None:
            nonlocal rung
            assert bob.chat._parts is not None
            while True:
                await bob.chat._parts.bell.wait()
                rung += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            assert await nothing_more(inbox)
            nursery.cancel_scope.cancel()
        assert rung == 0
        assert bob.host.reasons["repeated"] == 5
        assert alice.waiting() == []


@on_virtual_time
async def test_a_slow_reader_loses_nothing_and_holds_nobody_up() -> None:
    async with two(ChatSettings(page=2)) as (alice, bob), trio.open_nursery() as nursery, bob.chat.messages() as inbox:
        nursery.start_soon(send, alice, bob, range(50))
        await trio.testing.wait_all_tasks_blocked()
        assert bob.chat.counts().received == 50
        seen = []
        for _ in range(50):
            seen += await take(inbox, 1)
            await trio.sleep(60)
        assert seen == list(range(1, 51))


@on_virtual_time
async def test_several_readers_each_see_everything() -> None:
    async with two() as (alice, bob):
        seen: list[list[int]] = [[], [], []]

        async def read(into: list[int]) -> None:
            async with bob.chat.messages() as inbox:
                async for message in inbox:
                    into.append(message.number)
                    if len(into) == 20:
                        return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, seen[0])
            await send(alice, bob, range(10))
            nursery.start_soon(read, seen[1])
            await send(alice, bob, range(10))
            nursery.start_soon(read, seen[2])
        assert seen == [list(range(1, 21))] * 3


@on_virtual_time
async def test_a_reader_cancelled_while_it_waits_goes_on_where_it_was() -> None:
    async with two() as (alice, bob), bob.chat.messages() as inbox:
        await send(alice, bob, range(3))
        seen = []
        for _ in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                seen += await take(inbox, 1)
        assert seen == []
        assert await take(inbox, 3) == [1, 2, 3]


@on_virtual_time
async def test_reading_lets_other_tasks_breathe() -> None:
    async with two() as (alice, bob), bob.chat.messages() as inbox:
        await send(alice, bob, range(5))
        for _ in range(5):
            with trio.testing.assert_checkpoints():
                await anext(inbox)


@on_virtual_time
async def test_a_reader_comes_to_messages_of_a_former_process(tmp_path: Path) -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice:
        async with open_chat(wire, "bob", folder=tmp_path) as bob:
            await send(alice, bob, range(3))
        async with open_chat(wire, "bob", folder=tmp_path) as bob, bob.chat.messages(after=1) as inbox:
            await send(alice, bob, range(1))
            assert await take(inbox, 3) == [2, 3, 4]


@on_virtual_time
async def test_there_are_so_many_readers_and_one_that_ends_makes_room() -> None:
    async with two(ChatSettings(readers=2)) as (_, bob):
        async with bob.chat.messages():
            async with bob.chat.messages():
                with pytest.raises(InputError, match="2 readers follow the inbox"):
                    async with bob.chat.messages():
                        pass
            async with bob.chat.messages():
                pass


@on_virtual_time
async def test_a_reader_is_closed_with_its_block() -> None:
    async with two() as (alice, bob):
        async with bob.chat.messages() as inbox:
            await send(alice, bob, range(2))
            await take(inbox, 1)
        with pytest.raises(trio.ClosedResourceError):
            await anext(inbox)


@on_virtual_time
async def test_a_disk_that_does_not_answer_is_said_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two() as (alice, bob), bob.chat.messages() as inbox:
        await send(alice, bob, range(2))

        def fail(sql: str, parameters: object = ()) -> list[object]:
            raise StorageFailed("chat.db cannot be read")

        with monkeypatch.context() as patch:
            patch.setattr(bob.host.opened, "read", fail)
            with pytest.raises(StorageFailed):
                await anext(inbox)
        assert await take(inbox, 2) == [1, 2]


@pytest.mark.parametrize("after", [-1, 2**63, 1.0, True, "1", None])
def test_a_number_that_is_none_is_refused(after: int) -> None:
    @on_virtual_time
    async def play() -> None:
        async with two() as (_, bob):
            with pytest.raises(InputError, match="after is the number of a message"):
                async with bob.chat.messages(after=after):
                    pass
            with pytest.raises(InputError, match="after is the number of a message"):
                bob.chat.inbox(after=after)

    play()


@on_virtual_time
async def test_the_inbox_is_read_in_pages_and_consumes_nothing() -> None:
    async with two() as (alice, bob):
        await send(alice, bob, range(5))
        for _ in range(2):
            assert [message.number for message in bob.chat.inbox(limit=3)] == [1, 2, 3]
            assert [message.number for message in bob.chat.inbox(after=3)] == [4, 5]
        for limit in (0, 1001, -1, True, 2.0):
            with pytest.raises(InputError, match="limit is a whole number from 1 to 1000"):
                bob.chat.inbox(limit=limit)  # type: ignore[arg-type]  # wrong on purpose
