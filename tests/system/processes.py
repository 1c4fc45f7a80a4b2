"""Nodes as processes, driven through the command line, for the tests that let nothing else in.

A `Town` starts nodes and ends them all; at its end no node may have printed a traceback. `until` waits for what can be
seen from outside: it asks again and again, and what it asks (a command, a file) takes its time, so nothing sleeps.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent.parent
_READY = 30.0  # seconds for a start; it takes half of one on an idle machine
_COMMAND = 60.0  # seconds for a command; a put may wait 10 s for the node to join


def environment(**more: str) -> dict[str, str]:
    """Ours, where `import kadnet` means this checkout, and no setting of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KADNET_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **more}


def command(data_dir: Path | None, *words: str | bytes) -> list[str | bytes]:
    """`kadnet --data-dir DIR WORDS` as a list of arguments."""
    where = [] if data_dir is None else ["--data-dir", str(data_dir)]
    return [sys.executable, "-m", "kadnet", *where, *words]


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


def kadnet(data_dir: Path | None, *words: str | bytes, stdin: bytes | None = None, **env: str) -> Done:
    """Run a command to its end. It may fail, but never with a traceback."""
    ran = subprocess.run(
        command(data_dir, *words),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=environment(**env),
        timeout=_COMMAND,
        check=False,
    )
    err = ran.stderr.decode(errors="replace")
    assert "Traceback" not in err, err
    return Done(ran.returncode, ran.stdout, err)


class Running:
    """A node that has said `ready`."""

    def __init__(self, data_dir: Path, process: subprocess.Popen[bytes], address: str, log: Path) -> None:
        self.data_dir = data_dir
        self.process = process
        self.address = address
        self.log = log
        self.id, _, self.host_port = address.removeprefix("kadnet://").partition("@")
        self.port = int(self.host_port.rpartition(":")[2])

    def __call__(self, *words: str | bytes, stdin: bytes | None = None) -> Done:
        """A command on its data directory."""
        return kadnet(self.data_dir, *words, stdin=stdin)

    def json(self, *words: str) -> Any:
        """What a command that must succeed says with --json."""
        done = self(*words, "--json")
        assert done.code == 0, done
        return done.json

    def status(self) -> Any:
        return self.json("status")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal: the exit code, and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - began

    def said(self) -> str:
        """Its stderr so far."""
        return self.log.read_text("utf-8", errors="replace")


class Town:
    """Every node of a test. Folders have short names, or the control sockets would lie elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._all: list[tuple[subprocess.Popen[bytes], Path]] = []

    def folder(self, name: str, config: str = "") -> Path:
        """A data directory, perhaps with a config.toml."""
        made = self.root / name
        made.mkdir(mode=0o700, exist_ok=True)
        if config:
            (made / "config.toml").write_text(config, "utf-8")
        return made

    def launch(self, data_dir: Path, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start `kadnet run WORDS` and wait for nothing."""
        log = self.root / f"{data_dir.name}.{len(self._all)}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command(data_dir, "run", *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment(),
            )
        self._all.append((process, log))
        return process, log

    def start(self, data_dir: Path, *words: str, bootstrap: Sequence[str] = (), listen: str = "127.0.0.1:0") -> Running:
        """Start a node and wait for its `ready` line."""
        for address in bootstrap:
            words = (*words, "--bootstrap", address)
        process, log = self.launch(data_dir, "--listen", listen, *words)
        word, _, address = first_line(process).partition(" ")
        assert word == "ready", f"it said {word!r} and {log.read_text()}"
        return Running(data_dir, process, address, log)

    def overlay(self, count: int, replicas: int = 4) -> list[Running]:
        """`count` nodes that were all told the address of the first; each has joined."""
        config = f"[overlay]\nreplicas = {replicas}\n"
        first = self.start(self.folder("n0", config))
        with ThreadPoolExecutor(4) as pool:
            others = pool.map(
                lambda number: self.start(self.folder(f"n{number}", config), bootstrap=[first.host_port]),
                range(1, count),
            )
            nodes = [first, *others]
            list(pool.map(lambda node: until(lambda: node.status()["joined"]), nodes))
        return nodes

    def close(self) -> None:
        """End all nodes; none may have met an error it did not expect."""
        for process, _ in self._all:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        for _, log in self._all:
            said = log.read_text("utf-8", errors="replace")
            assert "Traceback" not in said, said


@contextmanager
def town() -> Iterator[Town]:
    """A town for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="kadnet-t-") as root:
        made = Town(Path(root))
        try:
            yield made
        finally:
            made.close()


def first_line(process: subprocess.Popen[bytes]) -> str:
    """What a process prints first; empty when it ends without a word."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _READY)
    assert readable, f"nothing was said in {_READY:g} seconds"
    return process.stdout.readline().decode().strip()


def until(ask: Callable[[], T], attempts: int = 150) -> T:
    """The first answer that is true. AssertionError when none of `attempts` is; `ask` should take its time."""
    answer = ask()
    for _ in range(attempts - 1):
        if answer:
            return answer
        answer = ask()
    assert answer, f"still {answer!r} after asking {attempts} times"
    return answer


def refused(done: Done, *words: str, code: int = 2) -> None:
    """An error as it must be: its exit code, nothing on stdout, one line on stderr that names what is wrong."""
    assert done.code == code, done
    assert done.raw == b""
    assert done.err.count("\n") == 1
    assert done.err.startswith("kadnet: ")
    for word in words:
        assert word in done.err


def bound() -> socket.socket:
    """A UDP port of ours on loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def free_port() -> int:
    """A UDP port that was free a moment ago."""
    with bound() as made:
        return int(made.getsockname()[1])
