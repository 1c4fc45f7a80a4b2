"""Two processes: one serves, the other measures. Neither outlives the one that started it, whatever ends that."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from benchmarks.peers.driver import end_with_parent


def _run(serve: Callable[[Any], Awaitable[None]], tell: Any, parent: int) -> None:
    end_with_parent(parent)
    trio.run(serve, tell)


@contextmanager
def serving(serve: Callable[[Any], Awaitable[None]]) -> Iterator[Any]:
    """Run `serve(tell)` in a process of its own for the length of the block; gives the first thing that it tells."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(serve, there, os.getpid()), daemon=True)
    process.start()
    end_with_parent(os.getppid())
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()
