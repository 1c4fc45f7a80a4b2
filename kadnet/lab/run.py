"""Running a scenario on virtual time, from one seed.

`run` is `trio.run` with a clock that jumps over every wait and a scheduler the seed decides; whatever it raises says
how to see it again. `run_until` waits for a condition. `virtual_runtime` is a machine on the virtual internet: its
chance and entropy derive from (seed, name), so adding a node changes no other node's draws.

Left out: the internet itself (`kadnet.lab.network`) and opening nodes on it (`kadnet.lab.world`).
"""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple

import trio
from trio.testing import MockClock

from kadnet.lab.clocks import VirtualClock, VirtualWall
from kadnet.lab.determinism import deterministic
from kadnet.lab.disk import VirtualDisk
from kadnet.runtime import Runtime
from kadnet.transport import Network

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DAY = 86_400.0

_seed_of_run: ContextVar[int | None] = ContextVar("seed of the kadnet.lab.run that is going on", default=None)

replay_line: ContextVar[Callable[[int], str] | None] = ContextVar("kadnet lab replay line", default=None)
"""What a test harness sets: from the seed of a run that failed to the line a person types to see it again."""


class Timeout(AssertionError):
    """Something did not come true in its virtual time. The message names it; a note names the seed (see `run`)."""


def run(main: Callable[[*Ts], Awaitable[T]], *args: *Ts, seed: int = 0, virtual_limit: float = 30 * DAY) -> T:
    """Run `main(*args)` on virtual time, repeatably, and return its result.

    Raises `Timeout` after `virtual_limit` virtual seconds: a scenario that hangs would otherwise jump on for ever.
    What leaves it carries a note with the seed and how to see it again: the line of `replay_line`, else this call.
    Where one error lies inside groups of nurseries, a note on the outermost says which, and in which node.
    """

    async def limited() -> T:
        _seed_of_run.set(seed)
        with trio.CancelScope(deadline=trio.current_time() + virtual_limit):
            return await main(*args)
        raise Timeout(f"the run did not end in {virtual_limit:g} virtual seconds")

    try:
        with deterministic(seed):
            return trio.run(limited, clock=MockClock(autojump_threshold=0))
    except BaseException as error:
        if isinstance(error, BaseExceptionGroup):
            _say_what_is_inside(error)
        error.add_note(f"seed {seed} shows it again: {_again(main, args, seed)}")
        raise


def _again(main: object, args: tuple[object, ...], seed: int) -> str:
    line = replay_line.get()
    if line is not None:
        return line(seed)
    name = getattr(main, "__name__", "main")
    return f"run({name}, {'..., ' if args else ''}seed={seed})"


def _say_what_is_inside(group: BaseExceptionGroup[BaseException]) -> None:
    """Note the only leaf of a group on the group, with the notes that lie between: a node is named there."""
    inside: BaseException = group
    between: list[str] = []
    while isinstance(inside, BaseExceptionGroup):
        if len(inside.exceptions) != 1:
            return
        inside = inside.exceptions[0]
        between += getattr(inside, "__notes__", [])
    where = f" ({'; '.join(between)})" if between else ""
    group.add_note(f"what ended it: {type(inside).__name__}: {inside}{where}")


def check_inside_run(seed: int) -> None:
    """Whether a world of that seed can be made here.

    On any `MockClock` it can, so that a test may bring its own. Raises RuntimeError on a real clock, and ValueError
    inside a `run` of another seed, whose replay line would show another run.
    """
    if not isinstance(trio.lowlevel.current_clock(), MockClock):
        raise RuntimeError("a world needs virtual time, and this is the real clock: start with kadnet.lab.run(main)")
    running = _seed_of_run.get()
    if running is not None and running != seed:
        raise ValueError(f"open_world has seed {seed} inside a run of seed {running}: give both the same seed")


async def run_until(condition: Callable[[], object], timeout: float, *, step: float = 0.01) -> float:
    """Wait until `condition()` is true, looking every `step` virtual seconds; returns the virtual seconds it took.

    Raises `Timeout` when it is not true after `timeout` virtual seconds, TypeError when what it returns is to be
    awaited: that would be true at once, whatever came of it.
    """
    start = trio.current_time()
    while not (found := condition()):
        left = start + timeout - trio.current_time()
        if left <= 0:
            raise Timeout(f"not true after {timeout:g} virtual seconds: {_describe(condition)}")
        await trio.sleep(min(step, left))
    if inspect.isawaitable(found):
        if inspect.iscoroutine(found):
            found.close()
        raise TypeError(f"run_until calls its condition and does not await it; make it a plain function: {condition!r}")
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


def virtual_runtime(
    host: Network,
    seed: int,
    name: str,
    *,
    wall: VirtualWall | None = None,
    clock: VirtualClock | None = None,
    disk: VirtualDisk | None = None,
) -> Runtime:
    """A machine on the virtual internet. Keep its clocks and its disk to move and break them later."""
    return Runtime(
        now=clock or trio.current_time,
        wall=wall or VirtualWall(),
        rng=random.Random(_derive("rng", seed, name)),
        entropy=Entropy(seed, name),
        offload=offload_inline,
        network=host,
        connect=(disk or VirtualDisk()).connect,
    )


def _derive(purpose: str, seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"kadnet lab {purpose} {seed} {name}".encode(), digest_size=32).digest()
