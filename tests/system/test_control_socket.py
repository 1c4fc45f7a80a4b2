"""What a node outlives: clients that go away in mid-request, and outputs that cannot be written."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.system.processes import Running, Town, command, environment, first_line, kadnet

LOCAL = ("--listen", "127.0.0.1:0")
HALF = b"POST /v1/put HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"


def launch(folder: Path, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(folder, "run", *LOCAL), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment()
    )


def test_half_requests_by_the_hundred_neither_end_a_node_nor_fill_its_log(node: Running) -> None:
    said = node.said()
    for _ in range(3):
        clients = []
        for _ in range(120):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(node.data_dir / "control.sock"))
            client.sendall(HALF)
            clients.append(client)
        for client in clients:
            client.close()
    assert node("status").code == 0
    assert node.process.poll() is None
    assert node.said() == said


def outlives(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """It serves, and ends in order."""
    assert kadnet(folder, "status").code == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_node_outlives_the_reader_of_its_log(town: Town) -> None:
    folder = town.folder("a")
    reads, writes = os.pipe()
    with launch(folder, subprocess.PIPE, writes) as process:
        os.close(writes)
        assert first_line(process).startswith("ready ")
        os.close(reads)
        outlives(folder, process)


def test_a_node_outlives_a_full_disk_below_its_log(town: Town) -> None:
    folder = town.folder("a")
    with Path("/dev/full").open("wb") as full, launch(folder, subprocess.PIPE, full.fileno()) as process:
        assert first_line(process).startswith("ready ")
        outlives(folder, process)


def test_a_ready_line_that_cannot_be_written_ends_a_node_with_one_line(town: Town) -> None:
    folder = town.folder("a")
    with Path("/dev/full").open("wb") as full, launch(folder, full.fileno(), subprocess.PIPE) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"Traceback" not in err
    assert err.count(b"kadnet: ") == 1
    assert b"kadnet: cannot write the ready line: No space left" in err
    assert (folder / "node.lock").read_bytes() == b""


def test_a_node_goes_on_when_nobody_reads_its_ready_line(town: Town) -> None:
    folder = town.folder("a")
    reads, writes = os.pipe()
    os.close(reads)
    with launch(folder, writes, subprocess.PIPE) as process:
        os.close(writes)
        assert process.stderr is not None
        for line in process.stderr:
            if b"nobody reads the ready line" in line:
                break
        outlives(folder, process)
        assert b"Exception ignored" not in process.stderr.read()


def test_a_terminal_that_closes_ends_a_node_in_order(town: Town) -> None:
    node = town.start(town.folder("a"))
    code, seconds = node.end(signal.SIGHUP)
    assert code == 0
    assert seconds < 2.0
    assert not (node.data_dir / "control.sock").exists()
    assert (node.data_dir / "node.lock").read_bytes() == b""
