"""One seed, one schedule: makes trio run its tasks in an order that a seed decides.

Trio shuffles the tasks that are ready, on purpose and from a private source of chance. For a run to repeat itself
that source must be seeded and the ready tasks sorted before the shuffle; trio has a switch for this and offers it to
nobody but its own Hypothesis plugin. This module alone touches those two private names, and puts both back after the
run. Where a trio no longer has them the lab still works and says that it promises no trace.

Left out: chance and entropy of the nodes (`kadnet.lab.run`), and the order of Python's own sets of strings, which
nothing may depend on.
"""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

_MODULE = "trio._core._run"
_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_CHANCE = "_r"

_one_at_a_time = threading.Lock()  # the switch and the chance belong to the process, not to a thread


class NotDeterministic(UserWarning):
    """This trio cannot be made to repeat a run."""


@dataclass(frozen=True, slots=True)
class Determinism:
    """What `deterministic` achieved."""

    seed: int
    promised: bool
    """Whether the same seed gives the same trace."""


def _scheduler() -> ModuleType | None:
    try:
        module = importlib.import_module(_MODULE)
    except ImportError:
        return None
    return module if hasattr(module, _SWITCH) and hasattr(module, _CHANCE) else None


@contextmanager
def deterministic(seed: int) -> Iterator[Determinism]:
    """Seed trio's scheduler for the `trio.run` inside the block, and put everything back after it.

    Warns `NotDeterministic`, and yields `promised=False`, when this trio has no such switch. Raises RuntimeError while
    another such block goes on, in whatever thread: the two would draw from one chance.
    """
    scheduler = _scheduler()
    if scheduler is None:
        warnings.warn(f"trio has no {_SWITCH}: the lab promises no repeatable trace", NotDeterministic, stacklevel=3)
        yield Determinism(seed, promised=False)
        return
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("another run of the lab goes on in this process: run one after the other, or in processes")
    chance = getattr(scheduler, _CHANCE)
    switch, state = getattr(scheduler, _SWITCH), chance.getstate()
    setattr(scheduler, _SWITCH, True)
    chance.seed(seed)
    try:
        yield Determinism(seed, promised=True)
    finally:
        setattr(scheduler, _SWITCH, switch)
        chance.setstate(state)
        _one_at_a_time.release()
