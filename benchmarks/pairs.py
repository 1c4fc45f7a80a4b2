"""Two processes: one serves, the other measures."""

from __future__ import annotations

import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio


def _run(serve: Callable[[Any], Awaitable[None]], tell: Any) -> None:
    trio.run(serve, tell)


@contextmanager
def serving(serve: Callable[[Any], Awaitable[None]]) -> Iterator[Any]:
    """Run `serve(tell)` in a process of its own for the length of the block; gives the first thing that it tells."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(serve, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()
