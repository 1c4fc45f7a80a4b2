"""The iterative lookup as a machine: who to ask next, when to stop waiting, when it is done.

The paper (Maymounkov and Mazières 2002, section 2.3) asks α contacts at a time towards a target until the k closest
have answered. This one differs where the paper is slow:

- Parallelism is continuous. There are no rounds: every answer, failure and timer frees a slot at once.
- A slot is freed by a short timer (a retransmission time-out for that very peer), not by a failure. The request stays
  open: a late answer still counts. One retransmission goes out when the slot is freed.
- When α answers in a row brought nobody closer, the walk has arrived; the rest of the k closest are asked at once.
- Whoever lets its first timer run out is in doubt: the next closest is asked in its stead at once, not when it is given
  up, so that the dead among the replacements of the dead do not add up.

The machine does no I/O and reads no clock. Whoever drives it calls `advance(now)` after every input and when the time
it was given has come, performs the `Ask`s, and feeds back `on_reply` and `on_failure`. Invariants, held by property
tests: nobody is asked twice at one endpoint with one attempt; while a contact among the k closest live ones is
unasked, every slot is in use; a walk always ends.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from kadnet.kademlia.candidates import Candidate, Elsewhere, State, run_out
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.outcome import AGREED, ARRIVED, ENOUGH, NOBODY_LEFT, STOPPED, LookupOutcome, QueryTrace


@dataclass(frozen=True, slots=True)
class LookupSettings:
    """`k`: how many of the closest have to answer. `parallelism`: α while approaching. `attempts`: requests per peer.

    `arrived_parallelism`: requests in flight once α answers in a row brought nobody closer (k of the paper's last
    round). `max_candidates`: whom it remembers, closest first; a hostile answer cannot make it remember more.
    `max_endpoints`: how many addresses of one ID are tried, since the first one handed on may be a lie. `quorum`: the
    share of the k closest whose answers suffice once every other one of them has let its first timer run out; below 1
    a walk for a value does not wait for retransmissions to the dead. `stall`, `longest_stall`: seconds, see `run_out`;
    a loop under load is late by some 10 ms, a full garbage collection of a large process takes some 200.
    """

    k: int = 16
    parallelism: int = 3
    arrived_parallelism: int = 16
    attempts: int = 2
    max_candidates: int = 192
    max_endpoints: int = 3
    quorum: float = 1.0
    stall: float = 0.02
    longest_stall: float = 0.5


class Ask(NamedTuple):
    """Send the query to `contact`; `attempt` counts from 1, a second one goes to the same peer again."""

    contact: Contact
    attempt: int


# Read by the thousand in every walk: a global costs a tenth of an attribute of an enumeration.
_NEW, _WAITING, _LATE, _ANSWERED, _FAILED = State.NEW, State.WAITING, State.LATE, State.ANSWERED, State.FAILED


class Lookup:
    """One walk towards `target` (a position as an integer)."""

    __slots__ = (
        "_agreed", "_by_id", "_k", "_near", "_order", "_own", "_second", "_settings", "_silent", "_since_closer",
        "_target", "_timeout", "_waiting", "answers", "queries", "reason", "started",
    )  # fmt: skip

    def __init__(
        self,
        target: int,
        seeds: Iterable[Contact],
        settings: LookupSettings,
        *,
        own_id: bytes,
        timeout: Callable[[Contact], float],
        now: float,
        silent: Callable[[Contact, float], bool] | None = None,
        near: int = 0,
        second: Callable[[Contact], float] | None = None,
        first: int = 0,
        agreed: Callable[[], bool] = bool,
    ) -> None:
        """`seeds` are the contacts it begins with; `timeout` gives the short timer of a contact in seconds, `second`
        the one after its retransmission (None: the same).

        `silent(contact, now)`: whether it is no use to ask a contact just now; such ones are not taken up.
        `near`: a distance (XOR); whoever is so close to the target is taken to be one of the k closest, and is asked at
        once. 0: nothing is known of that. `first`: so many of the closest are asked before the others of the k, and are
        enough if all of them answer and `agreed()` then says that nobody else need be asked. 0: all of the k at once.
        """
        self._target = target
        self._settings = settings
        self._own = own_id
        self._timeout = timeout
        self._second = timeout if second is None else second
        self._silent = silent
        self._near = near
        self._k = first or settings.k
        self._agreed = agreed
        self._by_id: dict[bytes, Candidate] = {}
        self._order: list[tuple[int, bytes, Candidate]] = []
        self._waiting: list[Candidate] = []
        self._since_closer = 0
        self.queries = 0
        self.answers = 0
        self.reason: str | None = None
        self.started = now
        for contact in seeds:
            if silent is None or not silent(contact, now):
                self._learn(contact, 1)

    @property
    def done(self) -> bool:
        return self.reason is not None

    def on_reply(self, peer: bytes, contacts: Iterable[Contact], now: float, at: Contact | None = None) -> None:
        """`peer` answered, perhaps late, and named `contacts`. Who was not asked changes nothing.

        `at`: the contact that was asked, where the peer may have been given up at one endpoint and asked at another.
        """
        candidate = self._by_id.get(peer)
        if candidate is None or self.done or candidate.state is _ANSWERED:
            return
        if at is not None and candidate.elsewhere is not None and at in candidate.elsewhere.earlier:
            self._settle(candidate, _LATE)
            self._back_to(candidate, candidate.elsewhere, at)
        elif candidate.attempt == 0:
            return
        self._settle(candidate, _ANSWERED)
        candidate.answered_at = now
        self.answers += 1
        nearest = self._order[0][0]
        hop = candidate.hop + 1
        by_id = self._by_id
        silent = self._silent
        for contact in contacts:
            known = by_id.get(contact.id)
            # Most were named before, by the same object.
            if (known is None or known.contact is not contact) and (silent is None or not silent(contact, now)):
                candidate.brought += self._learn(contact, hop, peer)
        self._since_closer = 0 if self._order[0][0] < nearest else self._since_closer + 1

    def on_failure(self, peer: bytes, now: float, at: Contact | None = None) -> None:
        """No answer of `peer` will come any more (from where it was asked as `at`), or it cannot be asked."""
        candidate = self._by_id.get(peer)
        if candidate is not None and at is not None and at.endpoint != candidate.contact.endpoint:
            return  # that endpoint was given up before; the one that is being asked may yet answer
        if candidate is None or self.done or candidate.state in (_ANSWERED, _FAILED, _NEW):
            return
        self._give_up(candidate)

    def stop(self, reason: str = STOPPED) -> None:
        """End here: the value was found, or nobody wants to know any more."""
        if self.reason is None:
            self.reason = reason
            self._waiting.clear()

    def advance(self, now: float) -> tuple[list[Ask], float | None]:
        """What to send now, and when to come back if nothing happens before. None when it is done."""
        if self.done:
            return [], None
        overdue = self._expire(now)
        asks: list[Ask] = []
        self._fill(now, asks)
        if self.done:
            return [], None
        for candidate in overdue:
            self._ask(candidate, now, asks)
        return asks, min([candidate.deadline for candidate in self._waiting], default=None)

    def closest(self, count: int) -> list[Contact]:
        """The contacts that answered, nearest to the target first."""
        found = [candidate.contact for _, _, candidate in self._order if candidate.state is _ANSWERED]
        return found[:count]

    def outcome(self) -> LookupOutcome:
        """The result as it stands; final when `done`."""
        asked = sorted(
            (c for c in self._by_id.values() if c.attempt or (c.elsewhere is not None and c.elsewhere.earlier)),
            key=lambda c: c.asked_at,
        )
        trace = tuple(
            QueryTrace(
                c.contact,
                c.hop,
                c.attempt,
                c.asked_at - self.started,
                c.answered_at - c.asked_at if c.state is _ANSWERED else None,
                c.state.value,
                c.brought,
                c.via,
            )
            for c in asked
        )
        hops = max((c.hop for c in asked if c.state is _ANSWERED), default=0)
        closest = tuple(self.closest(self._settings.k))
        return LookupOutcome(self._target, closest, self.queries, self.answers, hops, self.reason or "", trace)

    def _learn(self, contact: Contact, hop: int, via: bytes | None = None) -> bool:
        """Remember a contact; True when the ID is new to this walk."""
        known = self._by_id.get(contact.id)
        if known is not None:
            if contact.endpoint != known.contact.endpoint and known.state is not _ANSWERED:
                self._another_endpoint(known, contact)
            return False
        if contact.id == self._own:
            return False
        distance = contact.position ^ self._target
        order = self._order
        if len(order) >= self._settings.max_candidates:
            # Only who was never asked is forgotten. Forgetting others, the inventions of liars would have no end.
            place = next((n for n in range(len(order) - 1, -1, -1) if _unasked(order[n][2])), None)
            if place is None or distance >= order[place][0]:
                return False
            del self._by_id[order.pop(place)[1]]
        candidate = Candidate(contact, hop, via)
        self._by_id[contact.id] = candidate
        insort(order, (distance, contact.id, candidate))
        return True

    def _another_endpoint(self, known: Candidate, contact: Contact) -> None:
        """Whoever handed on an address first may have been wrong: keep a few others to fall back on."""
        if known.elsewhere is None:
            known.elsewhere = Elsewhere()
        others, earlier = known.elsewhere.others, known.elsewhere.earlier
        if 1 + len(earlier) + len(others) >= self._settings.max_endpoints or contact in others or contact in earlier:
            return
        others.append(contact)
        if known.state is _FAILED or known.state is _LATE:
            self._next_endpoint(known)

    def _next_endpoint(self, candidate: Candidate) -> None:
        """Ask it at another endpoint, where one is known."""
        elsewhere = candidate.elsewhere
        if elsewhere is not None and elsewhere.others:
            elsewhere.earlier[candidate.contact] = candidate.asked_at
            candidate.contact = elsewhere.others.pop(0)
            candidate.attempt = candidate.excused = 0
            candidate.state = _NEW

    def _back_to(self, candidate: Candidate, elsewhere: Elsewhere, contact: Contact) -> None:
        """An answer came from an endpoint that was given up: that is where the peer is."""
        asked_at = elsewhere.earlier.pop(contact)
        if candidate.attempt:
            elsewhere.earlier[candidate.contact] = candidate.asked_at
        candidate.contact = contact
        candidate.asked_at = asked_at
        candidate.attempt = max(candidate.attempt, 1)

    def _give_up(self, candidate: Candidate) -> None:
        self._settle(candidate, _FAILED)
        self._next_endpoint(candidate)

    def _settle(self, candidate: Candidate, state: State) -> None:
        if candidate.state is _WAITING:
            self._waiting.remove(candidate)
        candidate.state = state
        candidate.deadline = math.inf

    def _expire(self, now: float) -> list[Candidate]:
        """Short timers that have run out: the slot is free. Returns who is asked once more."""
        overdue = run_out(self._waiting, now, self._settings.stall, self._settings.longest_stall)
        for candidate in overdue:
            if candidate.attempt >= self._settings.attempts:
                self._settle(candidate, _LATE)
                self._next_endpoint(candidate)
        return [candidate for candidate in overdue if candidate.state is _WAITING]

    def _fill(self, now: float, asks: list[Ask]) -> None:
        """End when there is nothing left to wait for; else use every free slot on the closest that may still answer."""
        self._end_if_settled(now)
        if self.done:
            return
        settings = self._settings
        arrived = self._since_closer >= settings.parallelism
        doubtful = 0
        for candidate in self._waiting:
            doubtful += candidate.attempt > 1 or candidate.deadline <= now
        # One more beside each that is asked in the stead of one in doubt: the dead come in numbers, and while the walk
        # has not arrived they would be found out three at a time.
        slots = settings.arrived_parallelism if arrived else settings.parallelism + doubtful
        flying = len(self._waiting) - doubtful
        slots -= flying
        near_slots = settings.arrived_parallelism - flying
        near = self._near
        left = self._k
        for distance, _, candidate in self._order:
            state = candidate.state
            if state is _NEW:
                if slots <= 0 and (distance > near or near_slots <= 0):
                    return
                near_slots -= 1
                self._waiting.append(candidate)
                candidate.state = _WAITING
                self._ask(candidate, now, asks)
                slots -= 1
            elif state is not _ANSWERED and (state is not _WAITING or _doubtful(candidate, now)):
                continue  # the next one is asked in its stead, at once
            left -= 1
            if not left:
                return

    def _end_if_settled(self, now: float) -> None:
        """End when the k closest that are not given up have answered, or enough of them and the rest is in doubt."""
        settings = self._settings
        answered = doubtful = 0
        left = self._k
        for _, _, candidate in self._order:
            state = candidate.state
            if state is _ANSWERED:
                answered += 1
            elif state is _FAILED or state is _LATE:
                continue
            elif state is _WAITING and _doubtful(candidate, now):
                doubtful += 1
            else:
                return
            left -= 1
            if not left:
                break
        places = answered + doubtful
        if self._k < settings.k:
            if answered == self._k and self._agreed():
                self.stop(AGREED)
            else:
                self._k = settings.k
                self._end_if_settled(now)
            return
        if doubtful and answered < settings.quorum * places:
            return
        if doubtful:
            self.reason = ENOUGH
        else:
            self.reason = ARRIVED if places >= settings.k else NOBODY_LEFT
        self._waiting.clear()

    def _ask(self, candidate: Candidate, now: float, asks: list[Ask]) -> None:
        candidate.attempt += 1
        if candidate.attempt == 1:
            candidate.asked_at = now
        timer = self._timeout if candidate.attempt == 1 else self._second
        candidate.deadline = now + timer(candidate.contact)
        self.queries += 1
        asks.append(Ask(candidate.contact, candidate.attempt))


def _doubtful(candidate: Candidate, now: float) -> bool:
    """Its first short timer has run out: it may be dead, and is asked once more."""
    return candidate.attempt > 1 or candidate.deadline <= now


def _unasked(candidate: Candidate) -> bool:
    return candidate.state is _NEW and candidate.elsewhere is None
