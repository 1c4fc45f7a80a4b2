"""When to try which recipient. A machine: it knows who has messages waiting, and nothing of the messages.

After a failure the pause before the next try doubles up to a longest one, a little off by chance, so that those who
wait for one recipient do not come all together. A new message, or a sign of life, ends the pause. Those who are due for
such a reason and those whose pause is over take turns, in the order in which each fell due: neither a person's new
message waits behind a thousand dead recipients, nor the other way round.

Bounded by whoever calls: there is one line for each recipient with messages in the outbox, which has a bound.
Pure: the attempts themselves, and the outbox, belong to the driver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

from kadnet.apps.chat.settings import ChatSettings

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

_COMPACT_FROM = 64


@dataclass(frozen=True, slots=True)
class Deliver:
    """Try to deliver what waits for this recipient, then say `ended`."""

    recipient: bytes


class _Line:
    """One recipient. `serial` is that of its entry in a heap; `began` and `ended` are those of its last attempt."""

    __slots__ = ("began", "busy", "called", "due", "ended", "failures", "serial")

    def __init__(self) -> None:
        self.busy = False
        self.called = False
        self.failures = 0
        self.due = math.inf
        self.began = -math.inf
        self.ended = -math.inf
        self.serial = 0


_Heap: TypeAlias = list[tuple[float, int, bytes]]


class Courier:
    """Who is due. Nobody is twice under way at the same time."""

    def __init__(self, settings: ChatSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._lines: dict[bytes, _Line] = {}
        self._fresh: _Heap = []  # there is something new about them
        self._again: _Heap = []  # their pause is over
        self._order = [self._fresh, self._again]
        self._serial = 0
        self._under_way = 0

    def __len__(self) -> int:
        """Recipients with messages waiting, as far as is known here."""
        return len(self._lines)

    def restarted(self, recipients: Iterable[bytes], now: float) -> None:
        """These have waited since before this process: all are due about now."""
        for recipient in recipients:
            line = self._lines.setdefault(recipient, _Line())
            self._arm(recipient, line, now + self._settings.spread * self._rng.random(), self._again)

    def queued(self, recipient: bytes, now: float) -> None:
        """A message was queued: due at once. An attempt under way takes it along."""
        line = self._lines.setdefault(recipient, _Line())
        if not line.busy:
            self._hasten(recipient, line, now)

    def heard(self, recipient: bytes, at: float, *, unasked: bool) -> None:
        """They lived at `at`: due at once, but not within `heard_pause` of the last attempt.

        `unasked`: they came to us. Other signs of life may be our own attempt's doing, and what came before it ended
        in failure says nothing new; without this, one who answers calls and refuses messages were tried every second.
        """
        line = self._lines.get(recipient)
        if line is None:
            return
        if line.busy:
            line.called = line.called or unasked
        elif unasked or at > line.ended:
            self._hasten(recipient, line, max(at, line.began + self._settings.heard_pause))

    def ended(self, recipient: bytes, ok: bool, now: float) -> None:
        """An attempt is over. `ok`: nothing that it was given is left waiting."""
        line = self._lines[recipient]
        self._under_way -= 1
        line.busy = False
        line.ended = now
        if ok:
            del self._lines[recipient]
            return
        line.failures += 1
        self._arm(recipient, line, now + self._settings.pause(line.failures, self._rng.random()), self._again)
        if line.called:
            line.called = False
            self._hasten(recipient, line, max(now, line.began + self._settings.heard_pause))

    def next_try(self, recipient: bytes) -> float | None:
        """When this recipient is due; None while an attempt is under way, or with nothing waiting."""
        line = self._lines.get(recipient)
        return None if line is None or line.busy else line.due

    def advance(self, now: float) -> tuple[list[Deliver], float | None]:
        actions: list[Deliver] = []
        while self._under_way < self._settings.at_once:
            recipient = self._take(now)
            if recipient is None:
                heads = [heap[0][0] for heap in self._order if heap]
                return actions, min(heads, default=None)
            line = self._lines[recipient]
            line.busy, line.began, line.due = True, now, math.inf
            self._under_way += 1
            actions.append(Deliver(recipient))
        return actions, None  # whoever ends asks again

    def _take(self, now: float) -> bytes | None:
        """The next who is due, off the heap; of the two heaps, the one that did not have the last turn goes first."""
        for heap in self._order:
            while heap and not self._stands(heap[0]):
                heappop(heap)
        for heap in self._order:
            if heap and heap[0][0] <= now:
                self._order.sort(key=lambda each: each is heap)
                return heappop(heap)[2]
        return None

    def _hasten(self, recipient: bytes, line: _Line, due: float) -> None:
        if due < line.due:
            self._arm(recipient, line, due, self._fresh)

    def _arm(self, recipient: bytes, line: _Line, due: float, heap: _Heap) -> None:
        self._serial += 1
        line.due, line.serial = due, self._serial
        heappush(heap, (due, self._serial, recipient))
        if len(heap) > _COMPACT_FROM and len(heap) > 2 * len(self._lines):
            heap[:] = [entry for entry in heap if self._stands(entry)]
            heapify(heap)

    def _stands(self, entry: tuple[float, int, bytes]) -> bool:
        line = self._lines.get(entry[2])
        return line is not None and not line.busy and line.serial == entry[1]
