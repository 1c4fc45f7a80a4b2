from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.system.processes import Running, command, environment, kadnet, refused

EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9bboo\u202e"


def mistyped(id: str) -> str:
    """One letter changed."""
    return id[:20] + ("a" if id[20] != "a" else "b") + id[21:]


# ----------------------------------------------------------------------------------------------------- what is mistyped


def test_one_wrong_letter_in_an_id_is_noticed(pair: tuple[Running, Running]) -> None:
    node, other = pair
    wrong = mistyped(other.id)
    refused(node("ping", wrong), "node ID is mistyped: its checksum does not match")
    refused(node("ping", f"kadnet://{wrong}@{other.host_port}"), "mistyped")
    refused(node("lookup", wrong), "mistyped")
    refused(node("get", f"{wrong}/page"), "mistyped")
    refused(node("put", f"{wrong}/page", "x"), "mistyped")
    refused(node("ping", other.id[:-1]), "55 characters")
    refused(node("ping", other.id[:30] + "1" + other.id[31:]), "'1' as character 31")
    assert node("ping", other.id.upper()).code == 0, "upper case is no mistake"


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("kadnet://{wrong}@127.0.0.1:7420", "mistyped"),
        ("kadnet://{id}@127.0.0.1:99999", "99999"),
        ("kadnet://{id}@127.0.0.1:no", "port"),
        ("kadnet://{id}@[::1:7420", "["),
        ("kadnet://127.0.0.1:7420", "@"),
        ("http://127.0.0.1:7420", "http"),
        ("ho st:7420", "ho st"),
        ("300.1.1.1:7420", "300.1.1.1"),
    ],
)
def test_an_address_is_refused_by_its_wrong_part_before_anything_is_made(
    node: Running, tmp_path: Path, address: str, part: str
) -> None:
    address = address.format(id=node.id, wrong=mistyped(node.id))
    folder = tmp_path / "new"
    refused(kadnet(folder, "run", "--listen", "127.0.0.1:0", "--bootstrap", address), part)
    assert not folder.exists()


@pytest.mark.parametrize("listen", ["127.0.0.1:70000", "localhost:7420", "127.0.0.1:", ":::"])
def test_a_wrong_listen_address_is_refused(tmp_path: Path, listen: str) -> None:
    refused(kadnet(tmp_path / "new", "run", "--listen", listen))
    assert not (tmp_path / "new").exists()


def test_a_command_or_option_that_is_not_there_is_a_mistake_of_usage(node: Running) -> None:
    refused(kadnet(None, "statsu"), "did you mean 'status'?")
    refused(node("status", "--jsn"), "--jsn")
    refused(node("get"), "missing argument")
    refused(node("put", "color", "-1.5"), "--")
    refused(node("put", "color"), "VALUE")
    refused(node("put", "color", "x", "--ttl", "0"), "ttl")
    refused(node("put", "color", "x", "--ttl", "99999999"), "99999999")


# ----------------------------------------------------------------------------------------------------- values and names


def test_a_value_of_900_bytes_is_stored_and_one_more_is_refused_with_the_limit(node: Running, tmp_path: Path) -> None:
    assert node("put", "size", "x" * 900).code == 0
    assert node("get", "size").raw == b"x" * 900
    refused(node("put", "size", "x" * 901), "900 bytes")
    refused(node("put", "size", "ü" * 451), "900 bytes")
    (tmp_path / "big").write_bytes(bytes(1_000_000))
    refused(node("put", "blob:", "--file", str(tmp_path / "big")), "900 bytes")
    refused(node("put", "size", "--file", "-", stdin=b"x" * 901), "900 bytes")
    assert node("get", "size").raw == b"x" * 900, "what was there is there still"


def test_text_that_is_not_utf_8_is_refused_and_bytes_go_by_file(node: Running) -> None:
    refused(node("put", "bytes", b"\xff\xfe"), "the value is not UTF-8")
    refused(node("put", b"na\xffme", "x"), "the address is not UTF-8")
    refused(node("get", b"na\xffme"), "the address is not UTF-8")
    refused(node("ping", b"\xff:7420"), "not UTF-8")
    refused(node("lookup", b"\xff"), "not UTF-8")
    assert node("put", "bytes", "--file", "-", stdin=b"\xff\xfe").code == 0
    assert node("get", "bytes").raw == b"\xff\xfe"


def test_names_are_kept_to_their_rules(node: Running) -> None:
    assert node("put", "n" * 255, "long").code == 0
    refused(node("get", "n" * 256), "255")
    refused(node("get", f"a{EVIL}"), "control character")
    refused(node("get", "alice/page"), "name:alice/page")
    refused(node("get", "blob:12"), "blob")
    refused(node("get", ""), "name")


def test_a_file_that_cannot_be_read_is_named(node: Running, tmp_path: Path) -> None:
    refused(node("put", "color", "--file", str(tmp_path / "not-there")), "not-there", "No such file")
    refused(node("put", "color", "--file", str(tmp_path)), "directory")


# ------------------------------------------------------------------------------------------------- what a terminal sees


def on_a_terminal(node: Running, *words: str) -> bytes:
    """What a person would see."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(node.data_dir, *words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm"),
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says it so when the other side is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    process.wait()
    return seen


def test_control_characters_of_a_value_never_reach_a_terminal(pair: tuple[Running, Running]) -> None:
    writer, reader = pair
    assert writer("put", "evil", EVIL).code == 0
    assert reader("get", "evil").raw == EVIL.encode(), "a program is given the bytes as they are"
    seen = on_a_terminal(reader, "get", "evil")
    assert b"owned" in seen
    for bad in (b"\x1b", b"\x07", b"\x9b", "\u202e".encode()):
        assert bad not in seen
    assert seen.startswith(b"\\x1b]0;owned\\x07\\x1b[2J\\x0d"), "what is left out is shown as an escape"
    assert reader("put", "evil", f"{EVIL} twice").code == 0
    listed = reader("get", "evil")
    assert listed.out.count("\n") == 2
    assert not set(EVIL[:1] + "\x07\x9b\u202e") & set(listed.out), "nor do lines of several values"
    assert "\x1b" not in on_a_terminal(reader, "get", "evil", "--json").decode()


def test_control_characters_that_were_typed_are_not_echoed(node: Running) -> None:
    for words in (("ping", f"{EVIL}:1"), ("lookup", EVIL), ("get", f"name:{EVIL}"), (EVIL,), ("status", f"--{EVIL}")):
        done = node(*words)
        assert done.code == 2
        assert not set("\x1b\x07\x9b\u202e\r") & set(done.err)
