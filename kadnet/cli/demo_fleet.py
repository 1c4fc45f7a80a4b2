"""The nodes of the demo: processes on this machine, each with a data directory of its own, all gone at the end.

A fleet starts `kadnet run` as a person would, kills it, starts it again on what it left behind, and talks to each node
through its control socket. It knows nothing of what the demo shows with them.
"""

from __future__ import annotations

import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from kadnet.client import Client
from kadnet.datadir import control_path
from kadnet.errors import KadnetError, NotConnected


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """`at_once`: processes that start side by side; more would only share the same cores. `join_attempts`: how often
    a node that has met nobody is asked again, `pause` seconds apart. `start_within`: seconds for a start, which takes
    half of one on an idle core. `until_within`: seconds for a thing that is waited for; a node notes its contacts a
    second after it met them. `stop_within`: seconds from asking the processes to end to making them."""

    at_once: int = 4
    start_within: float = 30.0
    join_attempts: int = 100
    pause: float = 0.1
    until_within: float = 5.0
    stop_within: float = 3.0


@dataclass(frozen=True, slots=True)
class Member:
    """One node: its place in the fleet, its ID, where it listens, and the way to talk to it."""

    number: int
    id: str
    host_port: str
    client: Client


class Fleet:
    """Nodes with `copies` copies of each record. Use as a context: at its end no process and no file is left."""

    def __init__(self, copies: int, settings: FleetSettings | None = None) -> None:
        self.members: list[Member] = []
        self.alive: list[Member] = []
        self._copies = copies
        self._settings = settings or FleetSettings()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._bootstrap: str | None = None  # what all but the first are told
        self._lock = threading.Lock()  # nothing is started once the end has begun
        self._ended = threading.Event()
        self._root = Path(tempfile.mkdtemp(prefix="kadnet-demo-"))

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_what: object) -> None:
        # Ctrl-C once more, or impatience in another form, must not leave half of them behind.
        held = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._end(politely=kind is None)
        finally:
            for number, handler in held.items():
                signal.signal(number, handler)

    def start(self, count: int) -> Iterator[Member]:
        """Start `count` nodes, all told the address of the first one and of nobody else; each as it is ready."""
        first = self._start(0)
        self._bootstrap = first.host_port
        self._add(first)
        yield first
        pool = ThreadPoolExecutor(self._settings.at_once)
        try:
            for begun in as_completed([pool.submit(self._start, n) for n in range(1, count)]):
                member = begun.result()
                self._add(member)
                yield member
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def wait_joined(self) -> None:
        """Return when every node has joined. KadnetError when one has met nobody in all its attempts."""
        for member in self.alive:
            for _ in range(self._settings.join_attempts):
                try:
                    member.client.lookup(member.id)  # answered when the first attempt to join has ended
                    break
                except NotConnected:
                    self._ended.wait(self._settings.pause)
            else:
                raise KadnetError(f"node {member.number} met nobody", hint=self._log_of(member.number))

    def kill(self, member: Member) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self._processes[member.number]
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        self.alive.remove(member)

    def revive(self, member: Member) -> Member:
        """Start a killed node again: the same command, on the data directory it left. It gets another port."""
        again = self._start(member.number)
        self.members[self.members.index(member)] = again
        self.alive.append(again)
        return again

    def check(self) -> None:
        """KadnetError when a node that is to live has ended by itself."""
        for member in self.alive:
            if (code := self._processes[member.number].poll()) is not None:
                raise KadnetError(
                    f"node {member.number:02} ended by itself, with {code}", hint=self._log_of(member.number)
                )

    def remembered(self, member: Member) -> int:
        """How many contacts the node has on disk, once those it knows now are there."""
        self.until(lambda: self._noted(member) >= member.client.status().peers)
        return self._noted(member)

    def until(self, check: Callable[[], bool]) -> bool:
        """Wait until `check()`, but not long; whether it came to be."""
        began = time.monotonic()
        while not check():
            if time.monotonic() - began > self._settings.until_within:
                return False
            self._ended.wait(self._settings.pause)
        return True

    def each(self, ask: Callable[[Client], int]) -> dict[int, int]:
        """Ask all living nodes for a number, some at a time: numbers by place in the fleet."""
        with ThreadPoolExecutor(self._settings.at_once) as pool:
            return dict(pool.map(lambda member: (member.number, ask(member.client)), self.alive))

    def _add(self, member: Member) -> None:
        self.members.append(member)
        self.alive.append(member)

    def _data_dir(self, number: int) -> Path:
        return self._root / f"node-{number:02}"

    def _noted(self, member: Member) -> int:
        path = self._data_dir(member.number) / "peers.db"
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                row: tuple[int] = database.execute("SELECT count(*) FROM peers").fetchone()
                return row[0]
        except sqlite3.OperationalError:  # it is just being made
            return 0

    def _start(self, number: int) -> Member:
        folder = self._data_dir(number)
        command = [sys.executable, "-m", "kadnet", "--data-dir", str(folder), "run"]
        command += ["--listen", "127.0.0.1:0", "--log-level", "warning"]
        if number:
            assert self._bootstrap is not None
            command += ["--bootstrap", self._bootstrap]
        with self._lock:
            if self._ended.is_set():
                raise KadnetError("the demo has ended")
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "config.toml").write_text(f"[overlay]\nreplicas = {self._copies}\n", "utf-8")
            with (folder / "log").open("ab") as log:
                process = self._processes[number] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,  # Ctrl-C is for us; what it means for the nodes is our business
                )
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], self._settings.start_within)[0]:
            raise KadnetError(f"node {number} was not ready in {self._settings.start_within:g} s")
        word, _, address = process.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise KadnetError(f"node {number} did not start", hint=self._log_of(number))
        id, _, host_port = address.removeprefix("kadnet://").partition("@")
        return Member(number, id, host_port, Client(folder))

    def _log_of(self, number: int) -> str:
        lines = (self._data_dir(number) / "log").read_text("utf-8", errors="replace").splitlines()
        return f"it said: {lines[-1]}" if lines else "it said nothing"

    def _end(self, *, politely: bool) -> None:
        with self._lock:
            self._ended.set()
            processes = list(self._processes.values())
        for process in processes:
            process.terminate() if politely else process.kill()
        for process in processes:
            try:
                process.wait(self._settings.stop_within)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
        for folder in self._root.iterdir():
            with suppress(KadnetError):  # no path for a socket: then there is none
                control_path(folder).unlink(missing_ok=True)  # a killed node leaves it, not always in its folder
        shutil.rmtree(self._root, ignore_errors=True)
