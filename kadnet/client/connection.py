"""One HTTP exchange over a Unix socket, and what can go wrong with it.

A connection for each exchange: the daemon is on the same machine, and nothing has to be kept, shared or reopened. An
exchange blocks its thread; a `Cut` ends it from another one.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kadnet.datadir import named_holder
from kadnet.errors import DataDirError, InputError, KadnetError, NoNode
from kadnet.identity.text import printable
from kadnet.shapes import PROBLEM_TYPE, Problem, error_of, from_json

_STOPPED = "the node stopped before it answered, on"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost")
        self._seconds = timeout
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Not Python's timeout: it makes the socket one that does not block, and to such a one a node with a full
        # backlog says EAGAIN at once. This way the system waits for room, and says EAGAIN after the time.
        seconds, part = divmod(max(round(self._seconds * 1e6), 1), 1_000_000)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", seconds, part))
        try:
            self.sock.connect(str(self._path))
        except BlockingIOError:
            raise TimeoutError from None
        self.sock.settimeout(self._seconds)


class Cut:
    """Ends the exchanges it is given to, from any thread: the one under way, and each that would follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ended = threading.Event()

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is cut."""
        self._ended.wait(seconds)

    def __call__(self) -> None:
        with self._lock:
            self._ended.set()
            if self._socket is not None:
                with suppress(OSError):  # the node has closed it already
                    self._socket.shutdown(socket.SHUT_RDWR)

    def holds(self, connected: socket.socket | None) -> None:
        with self._lock:
            self._socket = connected
            if self.done and connected is not None:
                connected.shutdown(socket.SHUT_RDWR)


def exchange(
    control: Path,
    method: str,
    path: str,
    body: Any,
    *,
    timeout: float,
    max_answer: int,
    absent: Callable[[str], NoNode],
    cut: Cut | None = None,
) -> Any:
    """Send one request and return the JSON of its answer. Raises the node's error, or NoNode, or DataDirError.

    `timeout` seconds for each step; an answer of more than `max_answer` bytes is refused. `absent(how)` makes the error
    for a node that is not there; an exchange that was `cut` ends with one too.
    """
    connection = _UnixConnection(control, timeout)
    try:
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            raise absent("no node runs on") from None
        except TimeoutError:
            raise
        except OSError as error:
            shown = printable(str(control), 300)
            raise DataDirError(f"cannot reach the node at {shown}: {error.strerror or error}") from None
        if cut is not None:
            cut.holds(connection.sock)
        # Strictly ASCII, so also half a surrogate pair reaches the node, who refuses it by name.
        content = None if body is None else json.dumps(body).encode("ascii")
        headers = {"Content-Type": "application/json", "Connection": "close"}
        # A node that refuses a request does not read all of it, and says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, content, headers)
        response = connection.getresponse()
        raw = response.read(max_answer + 1)
    except TimeoutError:
        raise KadnetError(f"the node did not answer within {timeout:g} seconds") from None
    except (OSError, http.client.HTTPException):
        raise absent(_STOPPED) from None
    finally:
        if cut is not None:
            cut.holds(None)
        connection.close()
    if len(raw) > max_answer:
        raise KadnetError(f"the node answered more than {max_answer} bytes")
    try:
        return _understood(response.getheader("Content-Type", ""), response.status, raw)
    except NoNode:  # it said itself that it stops; where it ran is for us to say
        raise absent(_STOPPED) from None


def _understood(content_type: str, status: int, raw: bytes) -> Any:
    try:
        data = json.loads(raw)
        if status == http.client.OK:
            return data
        if content_type.partition(";")[0].strip() != PROBLEM_TYPE:
            raise InputError("it is not a problem")
        problem = from_json(Problem, data)
    except (ValueError, RecursionError):  # InputError among them
        raise KadnetError(f"the node answered something else than JSON of ours (HTTP {status})") from None
    raise error_of(problem)


def no_node(how: str, data_dir: Path, *, default: bool) -> NoNode:
    """The error for a node that is not there. `default`: `data_dir` is the one that is used when none is named."""
    named = "" if default else f" --data-dir {printable(shlex.quote(str(data_dir)), 300)}"
    holder = named_holder(data_dir)
    if holder is not None and holder != os.getpid() and how == "no node runs on":
        return NoNode(
            f"no node takes commands on {printable(str(data_dir), 300)}",
            hint=f"process {holder} holds it: a program with a node of its own, or one that is just starting",
        )
    return NoNode(f"{how} {printable(str(data_dir), 300)}", hint=f"start one with: kadnet{named} run")
