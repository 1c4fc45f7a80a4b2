"""Clients of the control socket that misbehave, on a real Unix socket."""

# ruff: noqa: TID251 - a Unix socket of this machine, as the daemon itself has it

from __future__ import annotations

import errno
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from hypercorn.trio.tcp_server import TCPServer
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from kadnet.daemon.app import make_app
from kadnet.daemon.control import ControlSettings, control_socket
from kadnet.daemon.log import make_logger
from kadnet.daemon.verbs import Verbs
from tests.unit.daemon.fake import NOW, WALL, FakeNode, quiet, served

SOCKET = "control.sock"
STATUS = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HALF = b"POST /v1/get HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{"
WHOLE = b'POST /v1/get HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{"key": "k"}'
EXPECTS = b"POST /v1/get HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n"


async def dial(folder: Path) -> trio.SocketStream:
    return await trio.open_unix_socket(str(folder / SOCKET))


async def everything(stream: trio.SocketStream) -> bytes:
    """What comes until the node closes; then we do."""
    async with stream:
        return b"".join([part async for part in stream])


async def answers(folder: Path) -> bool:
    stream = await dial(folder)
    await stream.send_all(STATUS)
    return (await everything(stream)).startswith(b"HTTP/1.1 200")


@asynccontextmanager
async def logged(folder: Path, log: FilteringBoundLogger) -> AsyncIterator[FakeNode]:
    node = FakeNode()
    app = make_app(Verbs(node, now=lambda: NOW, wall=lambda: WALL))
    async with control_socket(app, folder / SOCKET, log, ControlSettings(grace=0.0)):
        yield node


@pytest.mark.parametrize(
    "part", [HALF, HALF[:-1], EXPECTS, STATUS[:20]], ids=["half", "head", "expects", "half a head"]
)
@pytest.mark.parametrize("ends", ["close", "shutdown"])
async def test_a_client_that_goes_in_mid_request_harms_nobody_and_leaves_no_line(
    tmp_path: Path, part: bytes, ends: str
) -> None:
    stream = io.StringIO()
    async with logged(tmp_path, make_logger(stream, "info", as_json=False)):
        for number in range(40):
            client = await dial(tmp_path)
            await client.send_all(part)
            if number % 2:
                await trio.testing.wait_all_tasks_blocked()
            if ends == "shutdown":
                await client.send_eof()
                await everything(client)
            await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert await answers(tmp_path)
    assert stream.getvalue() == ""


async def test_many_clients_that_go_at_once_harm_nobody(tmp_path: Path) -> None:
    async with served(tmp_path, control=ControlSettings(grace=0.0)):
        clients = [await dial(tmp_path) for _ in range(400)]
        for client in clients:
            await client.send_all(HALF)
        for client in clients:
            await client.aclose()
        assert await answers(tmp_path)


async def test_an_error_in_one_connection_ends_that_one_with_a_debug_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    real = TCPServer.run

    async def fails_once(server: TCPServer) -> None:
        monkeypatch.setattr(TCPServer, "run", real)
        raise ZeroDivisionError("a fault of hypercorn")

    async with logged(tmp_path, make_logger(stream, "debug", as_json=True)):
        monkeypatch.setattr(TCPServer, "run", fails_once)
        assert await everything(await dial(tmp_path)) == b""
        assert await answers(tmp_path)
    (line,) = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (line["level"], line["event"]) == ("debug", "a control connection failed")
    assert "a fault of hypercorn" in line["error"]


async def test_a_fault_of_our_own_is_still_logged_as_an_error(tmp_path: Path) -> None:
    stream = io.StringIO()
    async with logged(tmp_path, make_logger(stream, "info", as_json=True)) as node:
        node.breaks = True
        client = await dial(tmp_path)
        await client.send_all(WHOLE)
        assert b" 500 " in await client.receive_some()
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
    assert "a fault of our own" in stream.getvalue()


async def test_a_body_that_never_comes_is_waited_for_five_seconds(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(tmp_path):
        began = autojump_clock.current_time()
        client = await dial(tmp_path)
        await client.send_all(HALF)
        said = await everything(client)
        assert autojump_clock.current_time() - began == pytest.approx(5.0, abs=0.1)
    assert said.startswith(b"HTTP/1.1 400")
    assert b"did not come within 5 seconds" in said


async def test_a_head_that_never_comes_is_waited_for_five_seconds(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(tmp_path):
        began = autojump_clock.current_time()
        client = await dial(tmp_path)
        await client.send_all(STATUS[:20])
        assert await everything(client) == b""
        assert autojump_clock.current_time() - began == pytest.approx(5.0, abs=0.1)


async def test_a_verb_that_takes_long_is_not_cut_off(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async def slow(_request: object) -> Response:
        await trio.sleep(60)
        return Response("late")

    app = Starlette(routes=[Route("/slow", slow)])
    async with control_socket(app, tmp_path / SOCKET, quiet()):
        client = await dial(tmp_path)
        await client.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await everything(client)).endswith(b"late")


async def test_further_connections_wait_until_there_is_room(tmp_path: Path) -> None:
    async with served(tmp_path, control=ControlSettings(at_once=2, grace=0.0)) as node:
        node.hangs = True
        held = [await dial(tmp_path) for _ in range(2)]
        third = await dial(tmp_path)
        await third.send_all(STATUS)
        with trio.move_on_after(0.05) as waited:
            await third.receive_some()
        assert waited.cancelled_caught
        await held[0].aclose()
        with trio.fail_after(2):
            assert (await everything(third)).startswith(b"HTTP/1.1 200")
        await held[1].aclose()


async def test_no_descriptor_for_a_connection_is_waited_out_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    stream = io.StringIO()
    with trio.socket.socket() as any_socket:
        kind = type(any_socket)
    real = kind.accept
    failed: list[float] = []

    async def accept(listening: trio.socket.SocketType) -> object:
        if len(failed) < 50:
            failed.append(trio.current_time())
            raise OSError(errno.EMFILE, "Too many open files")
        return await real(listening)

    monkeypatch.setattr(kind, "accept", accept)
    async with logged(tmp_path, make_logger(stream, "debug", as_json=True)):
        assert await answers(tmp_path)
    assert failed[-1] - failed[0] == pytest.approx(4.9)
    assert stream.getvalue().count("Too many open files") == 1


async def big(_request: object) -> Response:
    return Response(b"x" * 2**24)


BIG = Starlette(routes=[Route("/", big)])
ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_an_answer_that_nobody_takes_is_given_up(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    settings = ControlSettings(answer_within=10.0)
    async with control_socket(BIG, tmp_path / SOCKET, quiet(), settings):
        client = await dial(tmp_path)
        await client.send_all(ASKED)
        await trio.sleep(10.5)
        assert len(await everything(client)) < 2**24


async def test_an_answer_that_nobody_takes_does_not_hold_up_the_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with control_socket(BIG, tmp_path / SOCKET, quiet(), ControlSettings(grace=0.25)):
        client = await dial(tmp_path)
        await client.send_all(ASKED)
        await client.receive_some(1)
        await trio.testing.wait_all_tasks_blocked()  # the node is in the middle of its answer
        left_at = autojump_clock.current_time()
    assert autojump_clock.current_time() - left_at == pytest.approx(0.25, abs=0.05)
    await client.aclose()


async def test_a_cancelled_node_waits_for_no_client(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    with trio.CancelScope() as node:
        async with control_socket(BIG, tmp_path / SOCKET, quiet(), ControlSettings(grace=60.0)):
            client = await dial(tmp_path)
            await client.send_all(ASKED)
            await client.receive_some(1)
            await trio.testing.wait_all_tasks_blocked()
            began = autojump_clock.current_time()
            node.cancel()
            await trio.sleep_forever()
    assert autojump_clock.current_time() == began
    await client.aclose()


async def test_a_body_that_nobody_reads_frees_its_connection(tmp_path: Path) -> None:
    chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"

    async def late(_request: object) -> Response:
        await trio.testing.wait_all_tasks_blocked()
        return Response("late")

    app = Starlette(routes=[Route("/", late, methods=["GET", "POST"])])
    async with control_socket(app, tmp_path / SOCKET, quiet(), ControlSettings(at_once=1, grace=0.0)):
        client = await dial(tmp_path)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    await client.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                    await client.send_all(chunk * 64)
                except trio.BrokenResourceError:
                    """The node has answered and closed."""

            nursery.start_soon(send)
            assert (await client.receive_some()).startswith(b"HTTP/1.1 200")
            with trio.fail_after(5):
                again = await dial(tmp_path)
                await again.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert (await everything(again)).endswith(b"late")
            nursery.cancel_scope.cancel()
        await client.aclose()
