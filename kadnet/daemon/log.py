"""The log of the process: structlog to stderr, for people or as JSON, with a node's events and hypercorn's words in it.

One logger is made and handed down; nothing is configured globally, since the process is not ours alone in tests.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from kadnet.events import (
    BootstrapFailed,
    ContactAdded,
    ContactLost,
    Event,
    HandlerFailed,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    PeerBack,
)
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


async def tell(
    events: Callable[[], AbstractAsyncContextManager[AsyncIterator[Event]]], log: FilteringBoundLogger
) -> None:
    """Write down what an operator wants to know of a node's events, until cancelled."""
    refusals = _Refusals(log)
    async with events() as stream:
        async for event in stream:
            if isinstance(event, LinkRefused):
                refusals.write(event)
            else:
                _write(event, log)


class _Refusals:
    """Callers that were turned away: anybody can make them, so of each minute only the first few are written down."""

    _SECONDS = 60.0
    _LINES = 10

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._since = -math.inf
        self._seen = 0

    def write(self, event: LinkRefused) -> None:
        if event.at - self._since >= self._SECONDS:
            if self._seen > self._LINES:
                self._log.info("more callers turned away", count=self._seen - self._LINES)
            self._since = event.at
            self._seen = 0
        self._seen += 1
        if self._seen <= self._LINES:
            self._log.info(
                "caller turned away", endpoint=event.endpoint, reason=_REFUSALS.get(event.reason, event.reason)
            )


_REFUSALS = {
    "noise-box": "it called another node, or is of another network",
    "unproven-in-time": "it did not prove itself in time",
    "frame-magic": "it does not speak kadnet",
}


def _write(event: Event, log: FilteringBoundLogger) -> None:
    match event:
        case LinkUp():
            log.debug("linked", id=short(event.peer), dialed=event.dialed)
        case LinkDown():
            log.debug("link ended", id=short(event.peer), reason=event.reason)
        case HandlerFailed():
            log.error("a handler failed", protocol=event.protocol, error=event.error, trace=event.trace)
        case Joined():
            log.info("joined", contacts=event.contacts)
        case BootstrapFailed():
            log.warning("bootstrap address did not help", address=event.address, reason=event.reason)
        case ContactAdded():
            log.debug("contact added", id=short(event.peer), endpoint=event.endpoint)
        case PeerBack():
            log.debug("back", id=short(event.peer))
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
