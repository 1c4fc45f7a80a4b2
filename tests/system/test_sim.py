from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.system.processes import command, environment, kadnet, refused

SMALL = ("--nodes", "40", "--lookups", "20", "--loss", "1", "--stale", "10")


def test_two_processes_give_the_same_result_and_the_same_picture(tmp_path: Path) -> None:
    def ran(hashes: str) -> bytes:
        picture = tmp_path / f"{hashes}.svg"
        done = kadnet(None, "sim", *SMALL, "--json", "--plot", str(picture), PYTHONHASHSEED=hashes)
        assert done.code == 0, done.err
        return done.raw + picture.read_bytes()

    assert ran("1") == ran("2")


def test_it_needs_no_home_no_data_directory_and_no_terminal(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = kadnet(None, "sim", *SMALL, "--strategy", "kadnet", HOME=str(home), XDG_DATA_HOME=str(home))
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith(("kadnet", "k8"))] == ["kadnet"]
    assert list(home.iterdir()) == []
    assert done.err.splitlines()[0] == "kadnet (1 of 1): joining 40 nodes"


def test_what_this_machine_has_no_memory_for_is_refused_at_once() -> None:
    refused(kadnet(None, "sim", "--nodes", "1000000"), "1,000,000 nodes", "GiB of memory", "simulate fewer --nodes")


@pytest.mark.parametrize(("nodes", "lookups", "seen"), [(2000, 10, b"joining"), (30, 2000, b"2,000 lookups")])
def test_ctrl_c_shows_what_was_finished_as_json(nodes: int, lookups: int, seen: bytes) -> None:
    process = subprocess.Popen(
        command(None, "sim", "--nodes", str(nodes), "--lookups", str(lookups), "--json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stderr is not None
    assert any(seen in line for line in process.stderr), f"it ended before it said {seen!r}"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    said = json.loads(out)
    assert said["interrupted"] is True
    assert len(said["strategies"]) < 4, "those that were still to come are not begun"


def test_a_terminal_has_a_bar_that_goes_away(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    words = command(None, "sim", *SMALL, "--strategy", "k8-a3-2s")
    env = environment(TERM="xterm")
    ran = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, env=env)
    os.close(slave)
    out, _ = ran.communicate(timeout=60)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert ran.returncode == 0
    assert "k8-a3-2s: joining" in shown
    assert shown.endswith("\r\x1b[K")
    assert "\n" not in shown
    assert b"\x1b" not in out
