from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.system.processes import Running, Town, bound, command, environment, first_line, kadnet

COMMANDS = (
    *("init", "id", "version", "run", "status", "peers", "table", "ping", "lookup", "put", "get"),
    *("send", "inbox", "outbox", "chat", "contact", "sim", "demo"),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    for flag in ("--help", "-h"):
        done = kadnet(None, name, flag)
        assert done.code == 0
        assert done.err == ""
    assert f"Usage: kadnet {name}" in done.out
    assert "Example:" in done.out
    assert f"kadnet {name}" in done.out.partition("Example:")[2] or "kadnet --data-dir" in done.out
    assert "--json" in done.out


def test_the_list_of_commands_is_whole() -> None:
    listed = kadnet(None, "--help").out.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2:3].isalpha()][
        : len(COMMANDS)
    ] == list(COMMANDS)


def test_answers_go_to_stdout_and_everything_else_to_stderr(node: Running, town: Town) -> None:
    done = node("put", "split", "x")
    assert (done.code, done.err) == (0, "")
    done = node("get", "split", "--stats")
    assert done.raw == b"x"
    assert "answered by" in done.err
    process, log = town.launch(town.folder("b"), "--listen", "127.0.0.1:0", "--json")
    ready = json.loads(first_line(process))
    assert set(ready) == {"event", "id", "address", "control"}
    assert ready["event"] == "ready"
    assert ready["control"] == str(town.folder("b") / "control.sock")
    process.terminate()
    rest, _ = process.communicate(timeout=10)
    assert rest == b"", "one line on stdout, the log on stderr"
    assert "serving" in log.read_text()


def test_an_output_that_nobody_reads_is_no_error_of_ours(node: Running) -> None:
    for words in (("peers",), ("get", "size"), ("status", "--json"), ("--help",)):
        reads, writes = os.pipe()
        os.close(reads)
        process = subprocess.Popen(
            command(node.data_dir, *words), stdout=writes, stderr=subprocess.PIPE, env=environment()
        )
        os.close(writes)
        _, err = process.communicate(timeout=30)
        assert b"Traceback" not in err
        assert b"Exception ignored" not in err
        assert process.returncode in (0, 1)


def test_a_full_disk_below_the_output_is_said(node: Running) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            command(node.data_dir, "status"), stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert process.returncode == 1
    assert b"Traceback" not in process.stderr
    assert b"cannot write the output" in process.stderr


# -------------------------------------------------------------------------------------------------------------- the end


def test_sigterm_ends_a_node_in_two_seconds_and_gives_everything_back(town: Town) -> None:
    first, node = town.overlay(2)
    port = node.port
    assert node("put", "me/page", "kept").code == 0
    # A command that waits for an answer must not hold up the end.
    with bound() as silent:
        waiting = subprocess.Popen(
            command(node.data_dir, "ping", f"kadnet://{first.id}@127.0.0.1:{silent.getsockname()[1]}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert select.select([silent], [], [], 10.0)[0], "it is under way"
        code, seconds = node.end(signal.SIGTERM)
    assert code == 0
    assert seconds < 2.0
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode in (1, 3)
    assert b"Traceback" not in err
    assert not (node.data_dir / "control.sock").exists()
    assert (node.data_dir / "node.lock").read_bytes() == b""
    again = town.start(node.data_dir, listen=f"127.0.0.1:{port}")
    assert again.address == node.address
    assert again("get", "me/page").out == "kept"


def test_sigint_is_130(town: Town) -> None:
    node = town.start(town.folder("a"))
    code, seconds = node.end(signal.SIGINT)
    assert code == 130
    assert seconds < 2.0
    assert not (node.data_dir / "control.sock").exists()
    assert "stopping signal=SIGINT" in node.said()


def test_what_a_node_keeps_is_closed_to_others(node: Running) -> None:
    modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in node.data_dir.iterdir()}
    assert stat.S_IMODE(node.data_dir.stat().st_mode) == 0o700
    for name in ("identity.json", "control.sock", "records.db", "peers.db", "node.lock"):
        assert modes[name] & 0o077 == 0, name
