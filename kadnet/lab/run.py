"""Running a scenario on virtual time, from one seed.

`run` is `trio.run` with a clock that jumps over every wait and a scheduler the seed decides; `run_until` waits for a
condition and, when it does not come true, names the seed that shows it again. `virtual_runtime` is a machine on the
virtual internet: its chance and entropy derive from (seed, name), so adding a node changes no other node's draws.

Left out: the internet itself (`kadnet.lab.network`) and opening nodes on it (`kadnet.lab.world`).
"""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import trio
from trio.testing import MockClock

from kadnet.lab.determinism import deterministic
from kadnet.runtime import Runtime
from kadnet.transport import Network

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_800_000_000.0
"""Unix time at virtual second 0: a day in January 2027."""

DAY = 86_400.0

_seed: ContextVar[int | None] = ContextVar("kadnet lab seed", default=None)


class Timeout(AssertionError):
    """Something did not come true in its virtual time. The message names it and the seed that shows it again."""


def run(main: Callable[[*Ts], Awaitable[T]], *args: *Ts, seed: int = 0, virtual_limit: float = 30 * DAY) -> T:
    """Run `main(*args)` on virtual time, repeatably, and return its result.

    Raises `Timeout` after `virtual_limit` virtual seconds: a scenario that hangs would otherwise jump on for ever.
    """

    async def limited() -> T:
        _seed.set(seed)  # in the context of this run's main task; its children inherit it
        with trio.CancelScope(deadline=trio.current_time() + virtual_limit):
            return await main(*args)
        raise Timeout(f"the run did not end in {virtual_limit:g} virtual seconds{_replay()}")

    with deterministic(seed):
        return trio.run(limited, clock=MockClock(autojump_threshold=0))


async def run_until(condition: Callable[[], object], timeout: float, *, step: float = 0.01) -> float:
    """Wait until `condition()` is true, looking every `step` virtual seconds; returns the virtual seconds it took.

    Raises `Timeout` when it is not true after `timeout` virtual seconds.
    """
    start = trio.current_time()
    while not condition():
        left = start + timeout - trio.current_time()
        if left <= 0:
            raise Timeout(f"not true after {timeout:g} virtual seconds: {_describe(condition)}{_replay()}")
        await trio.sleep(min(step, left))
    return trio.current_time() - start


def _describe(condition: Callable[[], object]) -> str:
    """What a person calls the condition: its docstring, its source line, or its name."""
    doc = inspect.getdoc(condition) if inspect.isfunction(condition) or inspect.ismethod(condition) else None
    if doc:
        return doc.splitlines()[0]
    name = getattr(condition, "__name__", None)
    if name is not None and name != "<lambda>":
        return str(name)
    try:
        lines, number = inspect.getsourcelines(condition)
    except (OSError, TypeError):
        return repr(condition)
    return f"`{lines[0].strip()}` (line {number})"


def _replay() -> str:
    seed = _seed.get()
    return "" if seed is None else f" (seed {seed} shows it again)"


@dataclass(slots=True)
class VirtualWall:
    """A wall clock: `EPOCH` at virtual second 0, and wrong by `offset` seconds, which may be changed at any time."""

    offset: float = 0.0

    def __call__(self) -> float:
        return EPOCH + trio.current_time() + self.offset


class Entropy:
    """Bytes that look like chance and are a function of (seed, name): keys and nonces of the lab, never of a node."""

    def __init__(self, seed: int, name: str) -> None:
        self._key = _derive("entropy", seed, name)
        self._draws = 0

    def __call__(self, size: int) -> bytes:
        self._draws += 1
        return hashlib.shake_256(self._key + self._draws.to_bytes(8, "big")).digest(size)


async def offload_inline(work: Callable[[], T], /) -> T:
    """Do the work on the spot: while a thread worked, a clock that jumps would jump an hour."""
    await trio.lowlevel.checkpoint()
    return work()


def virtual_runtime(host: Network, seed: int, name: str, *, wall: VirtualWall | None = None) -> Runtime:
    """A machine on the virtual internet. Keep `wall` to set its clock wrong later."""
    return Runtime(
        now=trio.current_time,
        wall=wall or VirtualWall(),
        rng=random.Random(_derive("rng", seed, name)),
        entropy=Entropy(seed, name),
        offload=offload_inline,
        network=host,
    )


def _derive(purpose: str, seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"kadnet lab {purpose} {seed} {name}".encode(), digest_size=32).digest()
