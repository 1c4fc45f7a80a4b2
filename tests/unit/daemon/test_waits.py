# ruff: noqa: TID251 - Unix sockets of this machine, as in kadnet/daemon/control.py, and the test's own clock

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from kadnet.daemon.app import AppSettings, make_app
from kadnet.daemon.control import ControlSettings, control_socket
from kadnet.daemon.verbs import Verbs
from kadnet.daemon.waits import WaitSettings
from kadnet.datadir import control_path
from kadnet.identity import nodeid
from tests.unit.daemon.fake import NOW, WALL, FakeNode, quiet
from tests.unit.daemon.fake_chat import BOB

BOB_ID = nodeid.encode(BOB.public)
POLL = {"after": 0, "wait": 30}


def post(path: str, body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Daemon:
    """The control socket of a fake node, to be told to stop."""

    def __init__(self, folder: Path) -> None:
        self.node = FakeNode()
        self.stopping = trio.Event()
        self._path = str(control_path(folder))

    async def ask(self, path: str, body: Any) -> trio.SocketStream:
        """A request that has been sent."""
        stream = await trio.open_unix_socket(self._path)
        await stream.send_all(post(path, body))
        return stream

    async def say(self, path: str, body: Any) -> tuple[int, Any]:
        return await answer(await self.ask(path, body))


async def answer(stream: trio.SocketStream) -> tuple[int, Any]:
    async with stream:
        raw = b"".join([part async for part in stream])
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@asynccontextmanager
async def daemon(folder: Path, waits: WaitSettings | None = None, at_once: int = 64) -> AsyncIterator[Daemon]:
    made = Daemon(folder)
    settings = AppSettings(at_once=at_once, waits=waits or WaitSettings())
    app = make_app(Verbs(made.node, lambda: NOW, lambda: WALL), settings, made.stopping)
    async with control_socket(app, control_path(folder), quiet(), ControlSettings(grace=0.5)):
        yield made


async def test_a_poll_is_answered_at_once_when_there_is_something(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        await it.node.come(BOB.public, "hi")
        began = trio.current_time()
        status, found = await it.say("inbox", POLL)
        assert trio.current_time() == began
    assert (status, found[0]["text"], found[0]["from"]) == (200, "hi", BOB_ID)


async def test_a_poll_is_answered_by_the_first_message_that_comes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        stream = await it.ask("inbox", POLL)
        await trio.sleep(12)
        assert it.node.readers == 1
        await it.node.come(BOB.public, "late")
        came = trio.current_time()
        status, found = await answer(stream)
        assert trio.current_time() == came
        assert it.node.readers == 0
    assert (status, [message["text"] for message in found]) == (200, ["late"])


async def test_a_poll_with_nothing_to_say_is_answered_in_its_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        began = trio.current_time()
        assert await it.say("inbox", {"wait": 7}) == (200, [])
        assert trio.current_time() - began == pytest.approx(7.0, abs=0.1)
        began = trio.current_time()
        assert await it.say("inbox", {}) == (200, [])
        assert trio.current_time() == began


async def test_a_send_is_answered_as_soon_as_it_is_delivered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        it.node.offline = "not found"
        stream = await it.ask("send", {"who": BOB_ID, "text": "hi", "wait": 10})
        await trio.sleep(4)
        await it.node.deliver((1).to_bytes(16, "big"))
        delivered = trio.current_time()
        status, sent = await answer(stream)
        assert trio.current_time() == delivered
    assert (status, sent) == (200, {"id": "0" * 31 + "1", "state": "delivered"})


async def test_a_send_that_is_not_delivered_in_time_says_queued_and_why(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        it.node.offline = "not found"
        began = trio.current_time()
        status, sent = await it.say("send", {"who": BOB_ID, "text": "hi"})
        assert trio.current_time() - began == pytest.approx(10.0, abs=0.1)
        assert (status, sent) == (200, {"id": "0" * 31 + "1", "state": "queued", "problem": "not found"})
        assert it.node.delivering == 0


async def test_a_send_that_waits_for_nothing_returns_behind_the_commit(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        it.node.offline = "not found"
        began = trio.current_time()
        _, sent = await it.say("send", {"who": BOB_ID, "text": "hi", "wait": 0})
        assert trio.current_time() == began
        assert sent["state"] == "queued"
        assert it.node.posted == [(BOB.public, "hi")]


async def test_the_delivery_of_an_earlier_message_is_waited_for_by_its_id(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path) as it:
        it.node.offline = "not found"
        _, sent = await it.say("send", {"who": BOB_ID, "text": "hi", "wait": 0})
        stream = await it.ask("delivery", {"id": sent["id"], "wait": 5})
        await trio.sleep(1)
        await it.node.deliver(bytes.fromhex(sent["id"]))
        assert await answer(stream) == (200, {"id": sent["id"], "state": "delivered"})
        status, problem = await it.say("delivery", {"id": "f" * 32})
        assert (status, problem["code"]) == (404, "not-found")


async def test_a_client_that_leaves_ends_its_wait(tmp_path: Path) -> None:
    async with daemon(tmp_path) as it:
        it.node.offline = "not found"
        poll = await it.ask("inbox", POLL)
        send = await it.ask("send", {"who": BOB_ID, "text": "hi"})
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (it.node.readers, it.node.delivering) == (1, 1)
        await poll.aclose()
        await send.aclose()
        with trio.fail_after(5):
            while it.node.readers or it.node.delivering:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(it.node.outbox()) == 1, "what was sent stays sent"


async def test_a_node_that_stops_answers_who_waits_and_loses_no_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        said: dict[str, tuple[int, Any]] = {}

        async def hear(name: str, stream: trio.SocketStream) -> None:
            said[name] = await answer(stream)

        async with daemon(tmp_path, WaitSettings(deliveries=1)) as it:
            it.node.offline = "not found"
            nursery.start_soon(hear, "poll", await it.ask("inbox", POLL))
            nursery.start_soon(hear, "send", await it.ask("send", {"who": BOB_ID, "text": "hi"}))
            await trio.sleep(1)
            nursery.start_soon(hear, "in line", await it.ask("send", {"who": BOB_ID, "text": "hi"}))
            await trio.sleep(2)
            assert it.node.delivering == 1
            it.stopping.set()
            told = trio.current_time()
        assert trio.current_time() - told < 0.1
    status, problem = said["poll"]
    assert (status, problem["code"]) == (503, "no-node")
    for place, name in enumerate(("send", "in line"), start=1):
        sent = {"id": f"{place:032x}", "state": "queued", "problem": "the node is stopping"}
        assert said[name] == (200, sent)


async def test_waits_take_no_turn_from_the_verbs(tmp_path: Path) -> None:
    async with daemon(tmp_path, at_once=1) as it:
        it.node.offline = "not found"
        streams = [await it.ask("inbox", POLL) for _ in range(3)]
        streams += [await it.ask("send", {"who": BOB_ID, "text": "hi"}) for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (it.node.readers, it.node.delivering) == (3, 3)
        with trio.fail_after(5):
            assert (await it.say("get", {"key": "color"}))[0] == 200
        for stream in streams:
            await stream.aclose()


async def test_one_poll_too_many_is_told_so(tmp_path: Path) -> None:
    async with daemon(tmp_path, WaitSettings(polls=2)) as it:
        streams = [await it.ask("inbox", POLL) for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        status, problem = await it.say("inbox", {"wait": 0.05})
        assert (status, problem["code"]) == (503, "too-busy")
        assert problem["detail"] == "2 others wait for messages already"
        assert (await it.say("inbox", {})) == (200, []), "to look and not wait is free"
        await streams[0].aclose()
        with trio.fail_after(5):
            while it.node.readers == 2:
                await trio.testing.wait_all_tasks_blocked(0.01)
        streams[0] = await it.ask("inbox", POLL)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert it.node.readers == 2
        for stream in streams:
            await stream.aclose()


async def test_one_delivery_too_many_waits_for_its_place_in_its_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with daemon(tmp_path, WaitSettings(deliveries=1)) as it:
        it.node.offline = "not found"
        first = await it.ask("send", {"who": BOB_ID, "text": "one", "wait": 5})
        await trio.sleep(1)
        began = trio.current_time()
        _, sent = await it.say("send", {"who": BOB_ID, "text": "two", "wait": 2})
        assert trio.current_time() - began == pytest.approx(2.0, abs=0.1)
        assert sent["state"] == "queued"
        third = await it.ask("send", {"who": BOB_ID, "text": "three", "wait": 60})
        await answer(first)
        await trio.sleep(1)
        await it.node.deliver((3).to_bytes(16, "big"))
        assert (await answer(third))[1]["state"] == "delivered"


async def test_an_error_while_waiting_is_a_problem_like_any_other(tmp_path: Path) -> None:
    async with daemon(tmp_path) as it:
        status, problem = await it.say("send", {"who": "nobody", "text": "hi"})
        assert (status, problem["code"]) == (400, "input")
        assert problem["detail"] == "there is no contact 'nobody'"
        status, problem = await it.say("send", {"who": BOB_ID, "text": "hi", "wait": float("nan")})
        assert (status, problem["code"]) == (400, "input")
        assert it.node.posted == []


async def test_contacts_the_outbox_and_who_are_verbs_too(tmp_path: Path) -> None:
    async with daemon(tmp_path) as it:
        it.node.offline = "not found"
        _, added = await it.say("contacts/add", {"name": "bob", "who": BOB_ID})
        assert added == {"name": "bob", "id": BOB_ID, "address": None, "added_at": 1_700_000_000}
        assert await it.say("resolve", {"who": "bob"}) == (200, {"id": BOB_ID, "name": "bob"})
        await it.say("send", {"who": "bob", "text": "hi", "wait": 0})
        _, (outgoing,) = await it.say("outbox", {})
        assert (outgoing["to"], outgoing["name"], outgoing["text"]) == (BOB_ID, "bob", "hi")
        assert await it.say("contacts/remove", {"name": "bob"}) == (200, added)
