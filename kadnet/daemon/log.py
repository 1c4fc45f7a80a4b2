"""The log of the process: structlog to stderr, for people or as JSON, with a node's events and hypercorn's words in it.

One logger is made and handed down; nothing is configured globally, since the process is not ours alone in tests.
"""

from __future__ import annotations

import logging
from typing import Any, Literal, TextIO, cast

import structlog
import trio
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from kadnet.events import BootstrapFailed, ContactAdded, ContactLost, Event, Events, Joined
from kadnet.identity.nodeid import short

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


def make_logger(stream: TextIO, level: Level, *, as_json: bool) -> FilteringBoundLogger:
    """A logger that writes lines of at least `level` to `stream`. Values are quoted, so no peer's text is obeyed."""
    lines = _Lines(stream)
    last: list[Processor]
    if as_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0, sort_keys=False)]
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(cast(TextIO, lines)),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lines.tell_lost,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


class _Lines:
    """Where lines are written. One that cannot be (whoever read them is gone, the disk is full) is lost and counted,
    and the next that can be says so: a node does not end for its log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, line: str) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def flush(self) -> None:
        """`write` has done it."""

    def tell_lost(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        if self._lost:
            event["lines_lost"] = self._lost
        return event


async def tell(events: Events, log: FilteringBoundLogger) -> None:
    """Write down what an operator wants to know of a node's events, until cancelled."""
    subscription = events.subscribe()
    woken = trio.Event()

    def wake() -> None:
        woken.set()

    subscription.wake = wake
    try:
        while True:
            while (event := subscription.take()) is not None:
                _write(event, log)
            await woken.wait()
            woken = trio.Event()
    finally:
        events.unsubscribe(subscription)


def _write(event: Event, log: FilteringBoundLogger) -> None:
    match event:
        case Joined():
            log.info("joined", contacts=event.contacts)
        case BootstrapFailed():
            log.warning("bootstrap address did not help", address=event.address, reason=event.reason)
        case ContactAdded():
            log.debug("contact added", id=short(event.peer), endpoint=event.endpoint)
        case ContactLost():
            log.debug("contact lost", id=short(event.peer), endpoint=event.endpoint)


class HypercornLog:
    """What hypercorn says, in our log: its errors as errors, its chatter as debug. Requests are not logged."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    async def access(self, *_what: Any) -> None:
        """Each request; `status` counts better than a log would."""

    async def critical(self, message: str, *args: Any, **_more: Any) -> None:
        self._log.critical("control socket", said=_said(message, args))

    async def error(self, message: str, *args: Any, **_more: Any) -> None:
        self._log.error("control socket", said=_said(message, args))

    async def warning(self, message: str, *args: Any, **_more: Any) -> None:
        self._log.warning("control socket", said=_said(message, args))

    async def info(self, message: str, *args: Any, **_more: Any) -> None:
        self._log.debug("control socket", said=_said(message, args))

    async def debug(self, message: str, *args: Any, **_more: Any) -> None:
        self._log.debug("control socket", said=_said(message, args))

    async def exception(self, message: str, *args: Any, exc_info: Any = True, **_more: Any) -> None:
        self._log.error("control socket", said=_said(message, args), exc_info=exc_info)

    async def log(self, level: int, message: str, *args: Any, **_more: Any) -> None:
        self._log.log(level, "control socket", said=_said(message, args))


def _said(message: str, args: tuple[Any, ...]) -> str:
    return message % args if args else message
