from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.system.processes import Running, Town, town


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Let the processes we start be interrupted, also when a shell runs the suite in its background.

    Such a shell has its jobs ignore SIGINT, and what is ignored is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(name="town")
def _town() -> Iterator[Town]:
    with town() as made:
        yield made


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Running, Running]]:
    """Two nodes that know each other, for the tests of a file that end neither."""
    with town() as made:
        first, second = made.overlay(2)
        yield first, second


@pytest.fixture(scope="module")
def node(pair: tuple[Running, Running]) -> Running:
    return pair[0]
