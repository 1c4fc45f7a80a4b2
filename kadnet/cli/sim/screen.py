"""How far `kadnet sim` has come: one bar over all strategies with the time left on a terminal, else a line for each
phase and one every few seconds in between.

It goes to stderr, and nothing depends on it: when that is closed it falls silent. `Estimate` is pure.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO

from kadnet.cli.render import age

if TYPE_CHECKING:
    from kadnet.lab.model import Plan

_BAR: Final = 20  # characters
_LEAST_BAR: Final = 8  # where words take the room
_COMMON: Final = 80  # columns of a terminal that does not know its own
_REDRAW: Final = 0.1  # seconds: more often than that nobody can read
_REWRITE: Final = 8.0  # seconds between two lines where there is no terminal
# What the strategies cost compared with each other (measured, 300 and 1,000 nodes), and the power of the part of the
# nodes that has joined with which the time of it grows: the last ones of kadnet meet larger tables.
_COSTS: Final[Mapping[str, float]] = MappingProxyType({"k8-a3-2s": 0.15, "k20-a3-5s": 0.47, "k20-a10-10s": 0.53})
_GROWTH: Final[Mapping[str, float]] = MappingProxyType({"kadnet": 1.35})
_INERTIA: Final = 6.0  # seconds in which the time left moves most of the way to a new estimate
_SURE: Final = 2.0  # seconds of measuring before a speed is believed
_SHORT: Final = {"join": "joining", "settle": "settling", "look up": "lookups"}
_PHASES: Final = ("join", "settle", "look up")


@dataclass(slots=True)
class _Phase:
    """One phase of one strategy. `part` is how much of it is done, 0 to 1; `spent` in seconds, up to `seen`."""

    guess: float
    part: float = 0.0
    began: float | None = None
    seen: float = 0.0

    @property
    def spent(self) -> float:
        return 0.0 if self.began is None else self.seen - self.began

    @property
    def measured(self) -> float | None:
        """How long it takes in all, as far as its own speed tells. None when it has hardly begun."""
        if self.began is None:
            return None
        if self.part >= 1.0:
            return self.spent
        sure = self.part > 0 and (self.part >= 0.1 or self.spent >= _SURE)
        return self.spent / self.part if sure else None


class Estimate:
    """How much is done and how long it will still take, from the speed so far.

    A phase that other strategies have been through takes this one as long as them, their known costs set against each
    other, or longer or shorter as its earlier phases did; one that none has been through is guessed from the pace of
    the others. `at_once`: how many strategies run beside each other.
    """

    def __init__(self, plan: Plan, strategies: Sequence[str], *, at_once: int = 1) -> None:
        # How long the phases take compared with each other, for as long as nothing is measured: joins of 10 ms, upkeep
        # of 7 µs for each node and virtual second, 1.5 ms for a value stored and 1 ms for one found.
        settle = 0.0007 * plan.nodes * plan.settling + 0.15 * plan.lookups
        guesses = dict(zip(_PHASES, (float(plan.nodes), settle, 0.1 * plan.lookups), strict=True))
        self._phases = {
            name: {phase: _Phase(guess * _COSTS.get(name, 1.0)) for phase, guess in guesses.items()}
            for name in strategies
        }
        self._at_once = at_once
        self._shown = 0.0

    def note(self, strategy: str, phase: str, done: int, total: int, now: float) -> None:
        """A strategy has come so far; the phases before this one are through."""
        for name, found in self._phases[strategy].items():
            if name == phase:
                found.began = now if found.began is None else found.began
                found.seen = now
                found.part = min(1.0, done / total) if total > 0 else 1.0
                if phase == "join":
                    found.part **= _GROWTH.get(strategy, 1.0)
                return
            found.part = 1.0

    def end(self, strategy: str) -> None:
        """A strategy is through."""
        for found in self._phases[strategy].values():
            found.part = 1.0

    def left(self) -> float | None:
        """Seconds; None while nothing is known."""
        if not self._known():
            return None
        lefts = [
            sum(self._whole(strategy, phase) * (1.0 - found.part) for phase, found in phases.items())
            for strategy, phases in self._phases.items()
        ]
        return max(sum(lefts) / self._at_once, *lefts)

    def part(self) -> float:
        """How much of everything is done, 0 to 1. It never goes back, whatever the estimate does."""
        whole = done = 0.0
        for strategy, phases in self._phases.items():
            for phase, found in phases.items():
                seconds = self._whole(strategy, phase)
                whole += seconds
                done += seconds * found.part
        self._shown = max(self._shown, done / whole if whole > 0 else 0.0)
        return self._shown

    def _known(self) -> list[_Phase]:
        return [found for phases in self._phases.values() for found in phases.values() if found.measured is not None]

    def _whole(self, strategy: str, phase: str) -> float:
        """Seconds that a phase takes in all."""
        own = self._phases[strategy]
        if (measured := own[phase].measured) is not None:
            return measured
        if (usual := self._usual(phase, strategy)) is None:
            known = self._known()
            guessed = sum(found.guess for found in known)
            return own[phase].guess * (sum(found.measured or 0.0 for found in known) / guessed if guessed > 0 else 1.0)
        taken = expected = 0.0
        for name, found in own.items():
            others = self._usual(name, strategy)
            if found.measured is not None and others is not None:
                taken += found.measured
                expected += others
        return usual * taken / expected if expected > 0 else usual

    def _usual(self, phase: str, strategy: str) -> float | None:
        """What the phase would take if this strategy kept the pace of the others."""
        taken = guessed = 0.0
        for name, phases in self._phases.items():
            if name != strategy and (measured := phases[phase].measured) is not None:
                taken += measured
                guessed += phases[phase].guess
        return self._phases[strategy][phase].guess * taken / guessed if guessed > 0 else None


class _Smooth:
    """Seconds left as they are shown: they run down with the clock, and a new estimate moves them little by little."""

    def __init__(self) -> None:
        self._left: float | None = None
        self._at = 0.0

    def of(self, left: float | None, now: float) -> float | None:
        """What to show for the estimate `left` at `now`."""
        if left is None:
            return None
        if self._left is None:
            self._left = left
        else:
            passed = now - self._at
            expected = max(0.0, self._left - passed)
            self._left = expected + (left - expected) * (1.0 - math.exp(-passed / _INERTIA))
        self._at = now
        return self._left


class Progress:
    """Shows it. `clock` gives monotonic seconds."""

    def __init__(
        self,
        stream: TextIO | None,
        plan: Plan,
        strategies: Sequence[str],
        *,
        at_once: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._live = stream is not None and stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._strategies = list(strategies)
        self._estimate = Estimate(plan, strategies, at_once=at_once)
        self._smooth = _Smooth()
        self._at_once = at_once
        self._clock = clock
        self._now_doing: dict[str, tuple[str, int, int]] = {}
        self._phases: set[tuple[str, str]] = set()
        self._next = 0.0
        self._silent = False

    def at(self, strategy: str, phase: str, done: int, total: int) -> None:
        """What a simulation calls, as often as it likes."""
        now = self._clock()
        self._estimate.note(strategy, phase, done, total, now)
        before = self._now_doing.get(strategy, ("", 0, 0))[1]
        self._now_doing[strategy] = (phase, done, total)
        new = (strategy, phase) not in self._phases
        if new:
            self._phases.add((strategy, phase))
            if not self._live:
                self._begin(strategy, phase, total, now)
        self._show(now, at_once=self._live and (new or (done == total and before != total)))

    def tick(self) -> None:
        """Time has passed, and nobody may have said anything."""
        if self._now_doing:
            self._show(self._clock())

    def end(self, strategy: str) -> None:
        """A strategy is through."""
        self._estimate.end(strategy)
        self._now_doing.pop(strategy, None)

    def leave(self) -> None:
        """Take the bar away: what follows is the table."""
        if self._live:
            self._put("\r\x1b[K")

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """The picture is drawn, which takes a while: on a terminal that is said as long as it lasts."""
        if self._live:
            self._put("\rdrawing the curves\x1b[K")
        try:
            yield
        finally:
            self.leave()

    def _show(self, now: float, *, at_once: bool = False) -> None:
        if not at_once and now < self._next:
            return
        self._next = now + (_REDRAW if self._live else _REWRITE)
        if self._live:
            self._draw(now)
        else:
            self._put(f"{100 * self._estimate.part():.0f} %: {self._doing()}{self._left(', ', now)}\n")

    def _begin(self, strategy: str, phase: str, total: int, now: float) -> None:
        self._next = now + _REWRITE
        number = self._strategies.index(strategy) + 1
        self._put(
            f"{strategy} ({number} of {len(self._strategies)}): {beginning(phase, total)}{self._left(', ', now)}\n"
        )

    def _draw(self, now: float) -> None:
        part = self._estimate.part()
        what, after = self._doing(), self._left("  ", now)
        rest = _columns(self._stream) - 1 - len(f" {100 * part:3.0f} %  {after}")
        wide = max(_LEAST_BAR, min(_BAR, rest - len(what)))
        bar = "#" * round(wide * part)
        self._put(f"\r{bar:.<{wide}} {100 * part:3.0f} %  {what[: max(0, rest - wide)]}{after}\x1b[K")

    def _doing(self) -> str:
        short = self._at_once > 1
        return ", ".join(f"{strategy}: {doing(*at, short=short)}" for strategy, at in self._now_doing.items())

    def _left(self, before: str, now: float) -> str:
        if self._estimate.part() >= 1.0:
            return f"{before}collecting the results"
        left = self._smooth.of(self._estimate.left(), now)
        return "" if left is None else f"{before}{age(max(1.0, left + 0.5))} left"

    def _put(self, text: str) -> None:
        if self._silent or self._stream is None:  # a program that closed our stderr
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            self._silent = True


def doing(phase: str, done: int, total: int, *, short: bool = False) -> str:
    """What is being done, and how far it is. `short`: several of these stand side by side."""
    if short:
        return f"{_SHORT.get(phase, phase)} {100 * done // max(1, total)} %"
    if phase == "join":
        return f"joining {done:,} of {total:,} nodes"
    if phase == "look up":
        return f"lookup {done:,} of {total:,}"
    return f"settling, {100 * done // max(1, total)} %"


def beginning(phase: str, total: int) -> str:
    """What is about to be done."""
    return {"join": f"joining {total:,} nodes", "look up": f"{total:,} lookups"}.get(phase, "settling")


def _columns(stream: TextIO | None) -> int:
    """How wide the terminal is."""
    try:
        return _COMMON if stream is None else max(16, os.get_terminal_size(stream.fileno()).columns or _COMMON)
    except (OSError, ValueError):  # it will not say
        return _COMMON
