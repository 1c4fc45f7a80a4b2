"""A relay between two nodes that know each other by its ports alone, so all they say to each other passes here.

Each node has a face: one port for datagrams and connections that the other takes for it. What comes to a face goes to
its node, from the other's face. What passes is recorded. Connections can be held until both nodes have called, which
makes them call at the same moment, and can be cut.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast

HOST = "127.0.0.1"


@dataclass(eq=False, slots=True)
class Passed:
    """A connection that passed, or still does: what its caller said, and what was answered."""

    caller: int
    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    open: bool = True


class Face:
    """The port that stands for a node, and where that node is."""

    def __init__(self) -> None:
        while True:
            self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.datagrams.bind((HOST, 0))
            self.port: int = self.datagrams.getsockname()[1]
            self.calls = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                self.calls.bind((HOST, self.port))
            except OSError:  # taken for connections: another one
                self.close()
                continue
            self.calls.listen()
            break
        self.node: tuple[str, int] | None = None

    @property
    def host_port(self) -> str:
        return f"{HOST}:{self.port}"

    def close(self) -> None:
        self.datagrams.close()
        self.calls.close()


class Relay:
    """Two faces, and the thread that carries between them."""

    def __init__(self) -> None:
        self.faces = (Face(), Face())
        self.datagrams: list[bytes] = []
        self.connections: list[Passed] = []
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._over = False
        self._meeting = False
        self._waiting: tuple[list[socket.socket], list[socket.socket]] = ([], [])
        self._sockets: dict[socket.socket, socket.socket] = {}  # each with the one behind it
        self._watch(self._woken, self._stop)
        for number, face in enumerate(self.faces):
            self._watch(face.datagrams, partial(self._datagram, number))
            self._watch(face.calls, partial(self._call, number))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stands_for(self, number: int, port: int) -> None:
        """Where the node of a face is. That of the other face is known by its first datagram."""
        self.faces[number].node = (HOST, port)

    def meet(self) -> None:
        """Hold the next connections until each node has called the other."""
        self._meeting = True

    def cut(self) -> None:
        """Cut every connection that passes."""
        for one in list(self._sockets):
            with suppress(OSError):  # it ended by itself
                one.shutdown(socket.SHUT_RDWR)

    def standing(self) -> int:
        """How many connections pass now."""
        return sum(passed.open for passed in self.connections)

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for one in (*self._sockets, *self._waiting[0], *self._waiting[1], self._wake, self._woken):
            one.close()
        for face in self.faces:
            face.close()
        self._selector.close()

    # --- in the thread

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select():
                if key.fd == cast(socket.socket, key.fileobj).fileno():  # else what came before has closed it
                    key.data()

    def _watch(self, one: socket.socket, then: Callable[[], object]) -> None:
        self._selector.register(one, selectors.EVENT_READ, then)

    def _stop(self) -> None:
        self._over = True

    def _datagram(self, number: int) -> None:
        face, other = self.faces[number], self.faces[1 - number]
        data, source = face.datagrams.recvfrom(4096)
        self.datagrams.append(data)
        if other.node is None:
            other.node = source
        if face.node is not None:
            other.datagrams.sendto(data, face.node)

    def _call(self, number: int) -> None:
        caller, _ = self.faces[number].calls.accept()
        self._waiting[number].append(caller)
        if self._meeting and not all(self._waiting):
            return
        self._meeting = False
        for to, waiting in enumerate(self._waiting):
            while waiting:
                self._join(waiting.pop(0), to)

    def _join(self, caller: socket.socket, to: int) -> None:
        node = self.faces[to].node
        assert node is not None
        try:
            answerer = socket.create_connection(node, 5.0)
        except OSError:
            caller.close()
            return
        passed = Passed(1 - to)
        self.connections.append(passed)
        self._sockets[caller], self._sockets[answerer] = answerer, caller
        self._watch(caller, partial(self._carry, caller, passed.asked, passed))
        self._watch(answerer, partial(self._carry, answerer, passed.answered, passed))

    def _carry(self, one: socket.socket, record: bytearray, passed: Passed) -> None:
        """Hand on what one side said; its end too, and when both have ended it is over."""
        other = self._sockets[one]
        try:
            data = one.recv(65_536)
            if data:
                record += data
                other.sendall(data)
                return
            self._selector.unregister(one)
            other.shutdown(socket.SHUT_WR)
            if other in self._selector.get_map():
                return
        except OSError:  # reset, or gone while it was written to
            pass
        passed.open = False
        for each in (one, other):
            if each in self._selector.get_map():
                self._selector.unregister(each)
            del self._sockets[each]
            each.close()


@contextmanager
def relay() -> Iterator[Relay]:
    with closing(Relay()) as made:
        yield made
