"""The connections of the control socket: accepted within a bound, and none of them able to harm the node.

hypercorn speaks HTTP on each; its own accept loop is not used, since there an error of one connection (a client that
goes away in mid-request is enough) ends the whole server, and the node with it. All that is hypercorn's stands here.
"""

# ruff: noqa: TID251 - as in control.py: these are the Unix sockets of its own machine; the lab has no daemon

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app
from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from kadnet.daemon.log import HypercornLog


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """`grace`: seconds that requests under way get when the node stops; the whole stop has less than two.
    `keep_alive`: seconds an idle connection is kept, and that the head of a request may take. `at_once`: connections
    open at the same time; further ones wait in the backlog. Half of the 256 descriptors that the meanest systems give
    a process. `answer_within`: seconds for a client to take a part of its answer. `pause`: seconds until the next
    accept after one that failed, as when no descriptor is free."""

    grace: float = 0.5
    keep_alive: float = 5.0
    at_once: int = 128
    answer_within: float = 10.0
    pause: float = 0.1


class _Stream:
    """What hypercorn uses of a trio.SocketStream, with its habits mended.

    It sends in a scope that no cancellation reaches, so a client that does not read its answer would hold the node for
    ever: here a sending has a deadline. And it closes a connection while another of its tasks sends, which trio
    reports as a busy resource: here as a broken one, which hypercorn understands. And a client that leaves between
    requests is still given its time to send one: `at_end` ends that.
    """

    def __init__(self, stream: trio.SocketStream, within: float, ends_at: float) -> None:
        self._stream = stream
        self._within = within
        self._ends_at = ends_at
        self._sending = trio.CancelScope()
        self.at_end: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        self.socket = stream.socket

    def end_at(self, when: float) -> None:
        """Send nothing after `when` (trio.current_time)."""
        self._ends_at = when
        self._sending.deadline = min(self._sending.deadline, when)

    async def send_all(self, data: bytes) -> None:
        deadline = min(trio.current_time() + self._within, self._ends_at)
        self._sending = trio.CancelScope(deadline=deadline)
        try:
            with self._sending:
                await self._stream.send_all(data)
        except trio.BusyResourceError as error:
            raise trio.BrokenResourceError("the connection is being closed") from error
        if self._sending.cancelled_caught:
            raise trio.BrokenResourceError("the client does not read")

    async def receive_some(self, most: int) -> bytes:
        data = await self._stream.receive_some(most)
        if not data:
            await self.at_end()
        return data

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Connections:
    """Serves `app` on a socket that listens."""

    def __init__(self, app: Starlette, log: FilteringBoundLogger, settings: ConnectionSettings) -> None:
        self._log = log
        self._settings = settings
        self._config = Config()
        self._config.keep_alive_timeout = settings.keep_alive
        self._config.include_server_header = False
        # Parts of a body that wait for the application. With a bound, hypercorn waits for ever to hand the last of them
        # to one that has answered without reading; ours read at once, up to a bound, or answer at once.
        self._config.max_app_queue_size = math.inf  # type: ignore[assignment]  # as trio's channels take it
        self._config.logger_class = lambda _config: HypercornLog(log)  # type: ignore[assignment, return-value]  # duck-typed there
        self._app = wrap_app(app, self._config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]  # its types of an application are closer than ours
        self._context = WorkerContext(None)
        self._room = trio.Semaphore(settings.at_once)
        self._open: set[_Stream] = set()
        self._ends_at = math.inf

    async def serve(self, bound: socket.socket, stop: trio.Event) -> None:
        """Until `stop`; then requests under way get their grace. Takes `bound` over."""
        bound.setblocking(False)
        grace = 0.0
        async with trio.open_nursery() as connections:
            with trio.socket.from_stdlib_socket(bound) as listening:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(self._accept, listening, connections)
                    try:
                        await stop.wait()
                        grace = self._settings.grace
                    finally:
                        self._end_at(trio.current_time() + grace)
                    accepting.cancel_scope.cancel()
            await self._context.terminated.set()  # idle connections are closed at once
            connections.cancel_scope.deadline = self._ends_at

    def _end_at(self, when: float) -> None:
        self._ends_at = when
        for stream in self._open:
            stream.end_at(when)

    async def _accept(self, listening: trio.socket.SocketType, connections: trio.Nursery) -> None:
        failing = False
        while True:
            await self._room.acquire()
            try:
                taken, _ = await listening.accept()
            except OSError as error:
                # A client gone already, or no descriptor or memory for it: neither is a reason to end. One line, or
                # the log would grow for as long as it lasts.
                self._room.release()
                if not failing:
                    self._log.debug("control connections wait", reason=error.strerror or str(error))
                failing = True
                await trio.sleep(self._settings.pause)
            else:
                failing = False
                connections.start_soon(self._one, trio.SocketStream(taken))

    async def _one(self, accepted: trio.SocketStream) -> None:
        stream = _Stream(accepted, self._settings.answer_within, self._ends_at)
        self._open.add(stream)
        try:
            server = TCPServer(self._app, self._config, self._context, ConnectionState({}), stream)  # type: ignore[arg-type]  # all that it uses of a stream
            stream.at_end = server.idle_task.stop
            await server.run()
        # The one guard of the daemon: what a client does, and whatever hypercorn makes of it, ends its own connection
        # and nothing else. Cancellation is no Exception, and passes.
        except* Exception as errors:  # noqa: BLE001  # one connection's end, whatever its cause, is not the node's
            self._log.debug("a control connection failed", error=repr(errors.exceptions[0]))
        finally:
            accepted.socket.close()
            self._open.discard(stream)
            self._room.release()
