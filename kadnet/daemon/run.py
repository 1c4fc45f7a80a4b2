"""The life of the process: open the node, serve the control socket, say `ready`, stop on a signal.

Order of a start (a contract): lock, identity, databases, ports, socket, `ready`. SIGTERM and SIGINT stop it in turn:
no new requests, those that only wait are answered, what runs gets its grace, the node is closed and flushed, the lock
goes; a second signal, or the time allowed, cancels at once. A signal before `ready` cancels the start.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from kadnet.daemon.app import make_app
from kadnet.daemon.control import control_socket
from kadnet.daemon.log import tell
from kadnet.daemon.verbs import Verbs
from kadnet.errors import KadnetError
from kadnet.node import open_node
from kadnet.runtime import real_runtime
from kadnet.shapes import Ready


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`stop_within`: seconds from the signal to the end; a little under the two that are promised."""

    stop_within: float = 1.8


class _Stop:
    """Whether and by what the process was told to stop."""

    def __init__(self) -> None:
        self.told = trio.Event()
        self.signal: int | None = None
        self.serving = False


async def run_daemon(
    data_dir: Path,
    *,
    bootstrap: Sequence[str] = (),
    listen: str | None = None,
    log: FilteringBoundLogger,
    ready: Callable[[Ready], object],
    settings: RunSettings | None = None,
) -> int:
    """Run a node until a signal; `ready` is called once it serves. Returns the exit code: 0, or 130 after SIGINT.

    Raises the KadnetErrors of what could not be opened.
    """
    settings = settings or RunSettings()
    stop = _Stop()
    failure: KadnetError | None = None
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, stop, nursery.cancel_scope, settings, log)
            try:
                await _serve(data_dir, bootstrap, listen, log, ready, stop, nursery)
            except KadnetError as error:  # bare, not in the group that the nursery would make of it
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    log.info("stopped")
    return 130 if stop.signal == signal.SIGINT else 0


async def _serve(
    data_dir: Path,
    bootstrap: Sequence[str],
    listen: str | None,
    log: FilteringBoundLogger,
    ready: Callable[[Ready], object],
    stop: _Stop,
    nursery: trio.Nursery,
) -> None:
    runtime = real_runtime()
    async with open_node(data_dir, bootstrap=bootstrap, listen=listen, runtime=runtime, log=log) as node:
        assert node.data_dir is not None
        nursery.start_soon(tell, node.events, log)
        control = node.data_dir.control
        app = make_app(Verbs(node, runtime.now, runtime.wall), stopping=stop.told)
        async with control_socket(app, control, log):
            stop.serving = True
            address = str(node.address)
            log.info("serving", address=address, control=str(control))
            ready(Ready("ready", node.identity_text, address, str(control)))
            await stop.told.wait()


async def _watch(
    signals: AsyncIterator[int],
    stop: _Stop,
    everything: trio.CancelScope,
    settings: RunSettings,
    log: FilteringBoundLogger,
) -> None:
    stop.signal = await anext(signals)
    log.info("stopping", signal=signal.Signals(stop.signal).name)
    if stop.serving:
        stop.told.set()
        with trio.move_on_after(settings.stop_within):
            await anext(signals)
        log.warning("not waiting any longer")
    everything.cancel()
