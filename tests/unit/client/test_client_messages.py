# ruff: noqa: TID251 - the test's own clock
"""The verbs of messages, over a real Unix socket, each call in a thread of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.client import Client, ClientSettings, Follow
from kadnet.client.connection import Cut
from kadnet.daemon.app import AppSettings
from kadnet.daemon.control import ControlSettings
from kadnet.daemon.waits import WaitSettings
from kadnet.errors import InputError, KadnetError, NoNode, NotFound, TooBusy, hint_of
from kadnet.identity import nodeid
from kadnet.shapes import BookEntry, Message, Sent, Who
from tests.unit.client.test_client import call, failing
from tests.unit.daemon.fake import served
from tests.unit.daemon.fake_chat import BOB, EVE

BOB_ID = nodeid.encode(BOB.public)
FIRST = "0" * 31 + "1"


async def test_each_verb_of_messages_gives_its_shape(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        client = Client(tmp_path)
        assert await call(lambda: client.send(BOB_ID, "hi")) == Sent(FIRST, "delivered")
        node.offline = "not found"
        sent = await call(lambda: client.send(BOB_ID, "ho", wait=0))
        assert sent == Sent("0" * 31 + "2", "queued", "not found")
        assert await call(lambda: client.delivery(FIRST)) == Sent(FIRST, "delivered")
        assert isinstance(await failing(lambda: client.delivery("f" * 32)), NotFound)
        assert [item.text for item in await call(client.outbox)] == ["ho"]
        added = await call(lambda: client.add_contact("bob", BOB_ID))
        assert added == BookEntry("bob", BOB_ID, None, 1_700_000_000)
        assert await call(lambda: client.resolve("bob")) == Who(BOB_ID, "bob")
        assert await call(client.contacts) == [added]
        assert await call(lambda: client.remove_contact("bob")) == added
        assert isinstance(await failing(lambda: client.remove_contact("bob")), InputError)


async def test_a_message_comes_with_its_sender_and_its_text_as_it_was_sent(tmp_path: Path) -> None:
    text = "grüße\n\x1b[2J\u202e\U0001f600\0"
    async with served(tmp_path) as node:
        await node.come(EVE.public, text)
        (message,) = await call(Client(tmp_path).inbox)
    assert message == Message(1, FIRST, nodeid.encode(EVE.public), text, 1_700_000_000, 1_700_000_001)


async def test_an_outbox_of_several_answers_is_gathered(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.offline = "not found"
        texts = [f"{number} " + "x" * 4000 for number in range(600)]  # 2.4 MB, and an answer has one
        for text in texts:
            await node.post(BOB_ID, text)
        assert [item.text for item in await call(Client(tmp_path).outbox)] == texts


async def test_a_wait_may_be_longer_than_the_time_for_an_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.offline = "not found"
        client = Client(tmp_path, ClientSettings(timeout=0.1))
        assert (await call(lambda: client.send(BOB_ID, "hi", wait=0.2))).state == "queued"
        assert await call(lambda: client.inbox(wait=0.2)) == []


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("inf"), 1e300])
async def test_what_is_no_time_is_refused_by_the_node_and_not_waited(tmp_path: Path, wait: float) -> None:
    async with served(tmp_path) as node:
        came = await failing(lambda: Client(tmp_path).send(BOB_ID, "hi", wait=wait))
        assert isinstance(came, InputError)
        assert "wait is 0 to 3600 seconds" in str(came)
        assert node.posted == []


async def test_a_text_far_too_long_for_the_node_is_refused_by_it(tmp_path: Path) -> None:
    async with served(tmp_path):
        came = await failing(lambda: Client(tmp_path).send(BOB_ID, "x" * 10_000_000))
        assert isinstance(came, InputError)
        assert "the request has more than" in str(came)


def take(follow: Follow, count: int) -> list[str]:
    return [next(follow).text for _ in range(count)]


async def test_a_follower_gets_what_is_there_and_then_what_comes(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        for text in ("a", "b"):
            await node.come(BOB.public, text)
        follow = Client(tmp_path).follow(after=1)
        assert await call(lambda: take(follow, 1)) == ["b"]
        came: list[str] = []

        async def hear() -> None:
            came.extend(await call(lambda: take(follow, 2)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            for text in ("c", "d"):
                while not node.readers:
                    await trio.testing.wait_all_tasks_blocked(0.005)
                await node.come(BOB.public, text)
        assert came == ["c", "d"]
        assert follow.number == 4


async def test_a_follower_asks_again_when_nothing_came(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        real = node.messages
        asked = 0

        def counted(*, after: int = 0) -> object:
            nonlocal asked
            asked += 1
            return real(after=after)

        node.messages = counted  # type: ignore[assignment, method-assign]  # a fake of a fake
        follow = Client(tmp_path, ClientSettings(poll=0.05)).follow()
        came: list[str] = []

        async def hear() -> None:
            came.extend(await call(lambda: take(follow, 1)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            while asked < 3:
                await trio.testing.wait_all_tasks_blocked(0.005)
            await node.come(BOB.public, "late")
        assert came == ["late"]


async def test_a_follower_is_told_that_its_node_stopped(tmp_path: Path) -> None:
    came: list[KadnetError] = []

    async def hear() -> None:
        came.append(await failing(lambda: take(Client(tmp_path).follow(), 1)))

    async with trio.open_nursery() as nursery:
        async with served(tmp_path, control=ControlSettings(grace=20.0)) as node:
            nursery.start_soon(hear)
            while not node.readers:
                await trio.testing.wait_all_tasks_blocked(0.005)
            began = trio.current_time()
    assert trio.current_time() - began < 10, "nobody waited for the grace to end"
    assert isinstance(came[0], NoNode)
    assert str(came[0]) == f"the node stopped before it answered, on {tmp_path}"
    assert hint_of(came[0]) == f"start one with: kadnet --data-dir {tmp_path} run"


async def test_a_follower_that_is_closed_from_another_thread_ends_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        follow = Client(tmp_path).follow()
        heard: list[list[Message]] = []

        async def hear() -> None:
            heard.append(await call(lambda: list(follow)))

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hear)
                while not node.readers:
                    await trio.testing.wait_all_tasks_blocked(0.005)
                follow.close()
            while node.readers:
                await trio.testing.wait_all_tasks_blocked(0.005)
        assert heard == [[]]
        await node.come(BOB.public, "too late")
        assert await call(lambda: list(follow)) == []


async def test_one_who_waits_too_many_is_told_so(tmp_path: Path) -> None:
    app = AppSettings(waits=WaitSettings(polls=0))
    async with served(tmp_path, app=app, control=ControlSettings(grace=0.0)):
        came = await failing(lambda: Client(tmp_path).inbox(wait=0.05))
    assert str(came) == "0 others wait for messages already"


MESSAGE = Message(number=1, id="0" * 32, sender="x", text="hello", sent_at=1, received_at=2)


def test_a_follower_that_stands_gets_its_place_back_and_a_newcomer_is_refused() -> None:
    """Between two polls somebody else may have come."""
    answers: list[list[Message] | TooBusy] = [[MESSAGE], TooBusy("full"), TooBusy("full"), [MESSAGE]]

    def page(_after: int, _cut: Cut) -> list[Message]:
        answer = answers.pop(0)
        if isinstance(answer, TooBusy):
            raise answer
        return answer

    standing = Follow(page, 0, 0.001)
    assert [next(standing), next(standing)] == [MESSAGE, MESSAGE]
    answers.append(TooBusy("full"))
    with pytest.raises(TooBusy):
        next(Follow(page, 0, 0.001))
