# ruff: noqa: TID251 - a Unix socket of this machine, as the client itself has it

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from kadnet.client import Client, ClientSettings
from kadnet.daemon.control import ControlSettings, _bind, control_socket
from kadnet.datadir import control_path
from kadnet.errors import (
    Conflict,
    DataDirError,
    InputError,
    KadnetError,
    NoNode,
    NotConnected,
    PeerUnreachable,
    StorageFailed,
    hint_of,
)
from kadnet.identity import nodeid
from kadnet.runtime import real_runtime
from tests.unit.daemon.fake import ME, PEER, quiet, served

T = TypeVar("T")


async def call(work: Callable[[], T]) -> T:
    return await real_runtime().offload(work)


async def failing(work: Callable[[], object]) -> KadnetError:
    """What `work` raises."""
    try:
        await call(work)
    except KadnetError as error:
        return error
    raise AssertionError("it went well")


async def test_each_verb_gives_its_shape(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        client = Client(tmp_path)
        assert (await call(client.status)).records == 12
        assert [peer.id for peer in await call(client.peers)] == [nodeid.encode(PEER.public)]
        assert [bucket.index for bucket in await call(client.table)] == [3]
        assert (await call(lambda: client.ping("192.0.2.7:7420"))).rtt_ms == 12.3
        assert (await call(lambda: client.lookup("color"))).hops == 1
        assert (await call(lambda: client.put("color", b"blue", ttl=9, if_seq=0))).replicas == 4
        assert node.puts == [(9, 0)]


@pytest.mark.parametrize("value", [b"blue", "grün".encode(), b"\xff\x00", b""])
async def test_a_value_comes_back_byte_for_byte(tmp_path: Path, value: bytes) -> None:
    async with served(tmp_path):
        client = Client(str(tmp_path))
        await call(lambda: client.put("color", value))
        found = await call(lambda: client.get("color", stats=True))
        assert [entry.data for entry in found.values] == [value]
        assert found.values[0].publisher == nodeid.encode(ME.public)
        assert found.lookup is not None


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad", hint="better"),
        NotConnected("alone"),
        PeerUnreachable("gone"),
        Conflict("at 3", seq=3),
        StorageFailed("full"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_node_raises_is_raised_here(tmp_path: Path, error: KadnetError) -> None:
    async with served(tmp_path) as node:
        node.raises = error
        came = await failing(lambda: Client(tmp_path).get("color"))
    assert type(came) is type(error)
    assert (str(came), hint_of(came)) == (str(error), hint_of(error))
    assert getattr(came, "seq", None) == getattr(error, "seq", None)


async def test_where_no_node_runs_the_way_to_start_one_is_told(tmp_path: Path) -> None:
    came = await failing(Client(tmp_path).status)
    assert isinstance(came, NoNode)
    assert str(tmp_path) in str(came)
    assert f"kadnet --data-dir {tmp_path} run" in hint_of(came)


async def test_for_the_default_data_dir_the_hint_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KADNET_DATA_DIR", str(tmp_path))
    client = Client()
    assert client.data_dir == tmp_path
    assert hint_of(await failing(client.status)) == "start one with: kadnet run"


async def test_a_socket_that_a_crash_left_means_no_node(tmp_path: Path) -> None:
    _bind(control_path(tmp_path), 1).close()
    assert isinstance(await failing(Client(tmp_path).status), NoNode)


async def test_a_node_with_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    path = control_path(tmp_path)
    listening = _bind(path, 0)
    with listening, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as fills:
        fills.connect(str(path))  # a backlog of 0 has room for one
        settings = ClientSettings(timeout=0.2)
        began = trio.current_time()
        assert "did not answer within 0.2 seconds" in str(await failing(Client(tmp_path, settings).status))
        assert trio.current_time() - began > 0.15
        came: list[KadnetError] = []

        async def ask() -> None:
            came.append(await failing(Client(tmp_path).status))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            listening.accept()[0].close()
            listening.setblocking(False)
            with trio.socket.from_stdlib_socket(listening.dup()) as taken:
                connection, _ = await taken.accept()
                assert (await connection.recv(100)).startswith(b"GET /v1/status")
                connection.close()
    assert "stopped before it answered" in str(came[0])


async def test_what_is_no_socket_is_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.mkdir()
    (loop / "control.sock").symlink_to("control.sock")
    came = await failing(Client(loop).status)
    assert isinstance(came, DataDirError)
    assert "control.sock" in str(came)


async def test_a_node_that_stops_before_it_answers_is_no_node(tmp_path: Path) -> None:
    came: list[KadnetError] = []

    async def ask() -> None:
        came.append(await failing(lambda: Client(tmp_path).get("color")))

    async with trio.open_nursery() as nursery:
        async with served(tmp_path, control=ControlSettings(grace=0.0)) as node:
            node.hangs = True
            nursery.start_soon(ask)
            await node.called.wait()
    assert isinstance(came[0], NoNode)
    assert "stopped before it answered" in str(came[0])


@asynccontextmanager
async def answering(data_dir: Path, answer: Callable[[], Response]) -> AsyncIterator[None]:
    """Something else than a node behind the control socket."""

    async def status(_request: object) -> Response:
        return answer()

    app = Starlette(routes=[Route("/v1/status", status)])
    async with control_socket(app, control_path(data_dir), quiet(), ControlSettings(grace=0.0)):
        yield


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response("hello"), "something else"),
        (Response("[" * 10_000), "something else"),
        (Response("{}", status_code=500), "something else"),
        (Response("{}", status_code=500, media_type="application/problem+json"), "something else"),
        (Response("{}"), "cannot read: field 'id' is missing"),
        (Response("[]"), "cannot read"),
        (Response(b"x" * 20_001), "more than 20000 bytes"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error(tmp_path: Path, answer: Response, said: str) -> None:
    async with answering(tmp_path, lambda: answer):
        came = await failing(Client(tmp_path, ClientSettings(max_answer=20_000)).status)
    assert type(came) is KadnetError
    assert said in str(came)


async def test_a_node_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with served(tmp_path, control=ControlSettings(grace=0.0)) as node:
        node.hangs = True
        came = await failing(lambda: Client(tmp_path, ClientSettings(timeout=0.05)).get("color"))
    assert "did not answer within 0.05 seconds" in str(came)


def test_a_node_without_a_control_socket_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """A program that runs a node of its own holds the directory: `kadnet run` there would be no way out."""
    (tmp_path / "node.lock").write_text(json.dumps({"pid": os.getppid(), "started": 1.0}))
    with pytest.raises(NoNode, match="no node takes commands on") as caught:
        Client(tmp_path).status()
    assert str(os.getppid()) in hint_of(caught.value)
