from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from kadnet.daemon.app import AppSettings
from kadnet.datadir import control_path
from kadnet.errors import Conflict, InputError, NotConnected, PeerUnreachable
from kadnet.identity import nodeid
from tests.unit.daemon.fake import PEER, FakeNode, served


async def http(
    data_dir: Path, method: str, path: str, body: Any = None, *, raw: bytes | None = None
) -> tuple[int, str, Any]:
    """One request over the control socket: status, content type, JSON of the answer."""
    content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    async with await trio.open_unix_socket(str(control_path(data_dir))) as stream:
        try:
            await stream.send_all(head.encode() + content)
        except trio.BrokenResourceError:
            pass  # refused before all of it was read
        answer = b""
        async for part in stream:
            answer += part
    top, _, rest = answer.partition(b"\r\n\r\n")
    lines = top.decode("ascii").split("\r\n")
    types = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("content-type:")]
    return int(lines[0].split()[1]), types[0], json.loads(rest)


async def test_status_peers_and_table_are_read_with_get(tmp_path: Path) -> None:
    async with served(tmp_path):
        status, kind, data = await http(tmp_path, "GET", "/v1/status")
        assert (status, kind) == (200, "application/json")
        assert data["bootstrap"][0] == {
            "address": "seed.example:7420",
            "answered": False,
            "problem": "does not answer",
            "attempts": 3,
        }
        assert {"id", "address", "version", "uptime", "peers", "links", "records"} <= set(data)
        _, _, peers = await http(tmp_path, "GET", "/v1/peers")
        assert peers[0]["id"] == nodeid.encode(PEER.public)
        _, _, table = await http(tmp_path, "GET", "/v1/table")
        assert [bucket["index"] for bucket in table] == [3]


async def test_a_value_goes_in_and_comes_out(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        _, _, stored = await http(tmp_path, "POST", "/v1/put", {"key": "color", "value": "blue", "ttl": 60})
        assert stored == {"key": "color", "seq": 7, "replicas": 4, "wanted": 16}
        assert node.puts == [(60, None)]
        _, _, found = await http(tmp_path, "POST", "/v1/get", {"key": "color"})
        assert found["key"] == "color"
        assert [value["value"] for value in found["values"]] == ["blue"]
        assert "lookup" not in found


async def test_ping_and_lookup_answer(tmp_path: Path) -> None:
    async with served(tmp_path):
        _, _, pong = await http(tmp_path, "POST", "/v1/ping", {"who": "192.0.2.7:7420"})
        assert pong["rtt_ms"] == 12.3
        _, _, walked = await http(tmp_path, "POST", "/v1/lookup", {"target": "color"})
        assert walked["target"] == "0" * 63 + "5"
        assert [query["state"] for query in walked["trace"]] == ["answered", "failed"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InputError("bad"), 400, "input"),
        (NotConnected("alone"), 503, "not-connected"),
        (PeerUnreachable("gone"), 504, "peer-unreachable"),
        (Conflict("at 3", seq=3), 409, "conflict"),
    ],
)
async def test_an_error_of_the_node_is_a_problem(tmp_path: Path, error: Any, status: int, code: str) -> None:
    async with served(tmp_path) as node:
        node.raises = error
        got, kind, problem = await http(tmp_path, "POST", "/v1/get", {"key": "color"})
        assert (got, kind, problem["code"]) == (status, "application/problem+json", code)
        assert problem["detail"] == str(error)
        assert problem.get("seq") == getattr(error, "seq", None)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "object"),
        (b'{"key": 5}', "'key'"),
        (b'{"key": "k", "value": "v", "encoding": "base64"}', "unknown field"),
    ],
)
async def test_a_wrong_request_is_refused_with_the_part_that_is_wrong(tmp_path: Path, raw: bytes, said: str) -> None:
    async with served(tmp_path) as node:
        status, _, problem = await http(tmp_path, "POST", "/v1/get", raw=raw)
        assert (status, problem["code"]) == (400, "input")
        assert said in problem["detail"]
        assert not node.called.is_set()


async def test_a_request_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, app=AppSettings(max_body=100)):
        status, _, problem = await http(tmp_path, "POST", "/v1/get", raw=b'{"key": "' + b"x" * 100 + b'"}')
        assert status == 400
        assert "100 bytes" in problem["detail"]


async def test_other_paths_and_methods_are_problems_too(tmp_path: Path) -> None:
    async with served(tmp_path):
        status, kind, problem = await http(tmp_path, "GET", "/v1/nothing")
        assert (status, kind, problem["code"]) == (404, "application/problem+json", "not-found")
        status, kind, problem = await http(tmp_path, "GET", "/v1/put")
        assert (status, kind) == (405, "application/problem+json")


async def test_a_fault_of_our_own_is_answered_and_the_node_serves_on(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.breaks = True
        status, kind, problem = await http(tmp_path, "POST", "/v1/get", {"key": "color"})
        assert (status, kind) == (500, "application/problem+json")
        assert "fault of our own" not in problem["detail"]
        node.breaks = False
        assert (await http(tmp_path, "POST", "/v1/get", {"key": "color"}))[0] == 200


async def test_more_verbs_than_may_run_at_once_wait_their_turn(tmp_path: Path) -> None:
    running = 0
    most = 0

    class Slow(FakeNode):
        async def _begin(self) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await trio.testing.wait_all_tasks_blocked()
            running -= 1

    async with served(tmp_path, Slow(), AppSettings(at_once=2)), trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(http, tmp_path, "POST", "/v1/get", {"key": "color"})
    assert most == 2
