from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kadnet.cli import records
from kadnet.errors import NotConnected
from kadnet.overlay import ValueEntry
from kadnet.wire.keys import Key
from tests.unit.cli.runner import asked, typed
from tests.unit.daemon.fake import ME, PEER, served


async def test_a_value_is_put_and_got_from_the_command_line(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        put = await asked(tmp_path, "put", "color", "blue", "--ttl", "60", "--if-seq", "0")
        assert (put.exit_code, put.stdout) == (0, "stored color with 4 of 16 nodes, seq 7\n")
        assert node.puts == [(60, 0)]
        got = await asked(tmp_path, "get", "color")
        assert (got.exit_code, got.stdout) == (0, "blue")


async def test_the_json_of_put_and_get_is_the_contract(tmp_path: Path) -> None:
    async with served(tmp_path):
        put = await asked(tmp_path, "put", "color", "blue", "--json")
        assert json.loads(put.stdout) == {"key": "color", "seq": 7, "replicas": 4, "wanted": 16}
        got = json.loads((await asked(tmp_path, "get", "color", "--json")).stdout)
        assert list(got) == ["key", "values"]
        assert list(got["values"][0]) == ["value", "encoding", "publisher", "seq", "expires"]
        got = json.loads((await asked(tmp_path, "get", "color", "--json", "--stats")).stdout)
        assert got["lookup"]["answered_by"] == "network"
        assert got["lookup"]["datagrams_out"] == 3


async def test_a_blob_is_stored_under_its_hash_which_is_printed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\x00\n")
    address = str(Key.blob_of(b"\xff\x00\n"))
    async with served(tmp_path):
        put = await asked(tmp_path, "put", "blob:", "--file", str(tmp_path / "file"))
        assert (put.exit_code, put.stdout) == (0, f"{address}\n")
        got = await asked(tmp_path, "get", address)
        assert got.stdout_bytes == b"\xff\x00\n"


async def test_a_file_may_be_standard_input(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await asked(tmp_path, "put", "color", "--file", "-", stdin=b"gr\xfcn")
        assert [entry.value for entry in node.values["color"]] == [b"gr\xfcn"]


async def test_a_put_that_nobody_acknowledged_is_exit_1_and_says_it_is_kept(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.replicas = 0
        put = await asked(tmp_path, "put", "color", "blue")
        assert (put.exit_code, put.stdout) == (1, "")
        assert "it is kept here and stored as soon as a peer is met" in put.stderr
        put = await asked(tmp_path, "put", "color", "blue", "--json")
        assert put.exit_code == 1
        assert json.loads(put.stdout)["replicas"] == 0


async def test_what_nobody_has_is_exit_1_with_its_json(tmp_path: Path) -> None:
    async with served(tmp_path):
        got = await asked(tmp_path, "get", "nope")
        assert (got.exit_code, got.stdout) == (1, "")
        assert got.stderr.startswith("kadnet: nobody has a value for nope; ")
        got = await asked(tmp_path, "get", "nope", "--json")
        assert got.exit_code == 1
        assert json.loads(got.stdout) == {"key": "nope", "values": []}


async def test_with_nobody_to_ask_a_get_is_exit_1(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.raises = NotConnected("nobody could be asked")
        got = await asked(tmp_path, "get", "color", "--json")
    assert got.exit_code == 1
    assert json.loads(got.stdout)["code"] == "not-connected"
    assert "kadnet status" in got.stderr


async def test_several_values_are_a_line_each_and_none_reaches_over_its_line(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.values["color"] = [
            ValueEntry(b"blue", ME.public, 1, 2),
            ValueEntry(b"red\nwhite\x1b[2J", PEER.public, 1, 2),
            ValueEntry(b"\xff", PEER.public, 1, 2),
        ]
        got = await asked(tmp_path, "get", "color")
    assert got.stdout == "blue\nred\\x0awhite\\x1b[2J\n\\xff\n"


async def test_on_a_terminal_a_lone_value_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    shown: list[str] = []
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(records, "say", shown.append)
    records._print_values([b"one\ntwo"])
    assert shown == ["one", "two"]


async def test_stats_go_to_stderr_beside_the_value(tmp_path: Path) -> None:
    async with served(tmp_path):
        await asked(tmp_path, "put", "color", "blue")
        got = await asked(tmp_path, "get", "color", "--stats")
    assert got.stdout == "blue"
    assert got.stderr == "answered by network: 2 messages, 1 hop, 250.0 ms, 3 datagrams out and 0 in\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["put", "color"], "put needs a VALUE or a --file"),
        (["put", "color", "blue", "--file", "x"], "not both"),
        (["put", "color", "x" * 901], "the limit is 900 bytes"),
        (["put", "color", "é" * 451], "the limit is 900 bytes"),
        (["put", "color", "\udcff"], "--file"),
        (["put", "\udcff", "blue"], "the address is not UTF-8"),
        (["get", "\udcff"], "the address is not UTF-8"),
        (["put", "color", "--file", "/nowhere/at/all"], "cannot read /nowhere/at/all: No such file"),
    ],
)
def test_bad_input_is_exit_2_before_anybody_is_asked(tmp_path: Path, words: list[str], said: str) -> None:
    done = typed(*words, data_dir=tmp_path)
    assert done.exit_code == 2  # 3 would mean that it looked for the node
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_too_large_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(901))
    done = typed("put", "color", "--file", str(tmp_path / "file"), data_dir=tmp_path)
    assert done.exit_code == 2
    assert "900 bytes" in done.stderr
