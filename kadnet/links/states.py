"""The links between this node and one peer, as a machine: which of them stays, when to call, what goes where.

Two nodes that call each other at one moment have two links, and both have to throw away the same one. So the larger ID
alone decides (docs/wire.md, Links): it pings all links, says `keep` on the first that answers, and once `kept` comes
back closes the rest. Until then it holds its messages. The smaller ID closes none and sends on the link it last heard
from. A close is a drain: each side says it once, says nothing after it, and reads on until the other has said it too;
so what had been handed to a link that loses arrives all the same.

A message belongs to the pair, and to a link only once it is handed over, one batch at a time. A link that breaks takes
with it at most what it had been handed. Nothing is sent twice.

What interleavings by the thousand (tests/properties/test_links.py) have shown:

- Both sides can say close at one moment. The close that comes is then no answer to ours, and to drop the socket at its
  sight loses what we have yet to write: both sides finish writing.
- The links of a former start of the peer may still bring what it sent last, and the first frame of a start that is over
  can come so late that it is taken for the newest. So they are not dropped but drained as well: a live link that was
  wrongly closed loses nothing, and its peer calls again. What is handed to the dead one meanwhile is lost with it.
- A link can break between its pong and `kept`, seen by the other side alone. Messages handed to it at once went on
  into nothing for as long as it was not found dead. So they wait for `kept`, and when it does not come in time there is
  another round. `kept` names no round, and the first one decides: its link works both ways.
- An answer can be lost with one link while another stands. So every loss puts in doubt what was asked before it; to
  wait only while there is no link left requests without an end. It still happens where this side cannot see the
  loss, as of a link it never knew: whoever asks bounds how long it waits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kadnet.links.arbitration import Round
from kadnet.links.calling import Calling
from kadnet.links.facts import Action, Dial, Down, Drop, Fail, FailOpen, Finish, Give, Item, StateSettings, Tell, Up
from kadnet.links.linkstate import LinkState, State
from kadnet.links.waiting import Waiting
from kadnet.wire.envelopes import BYE, FULL, IDLE, MAX_ID, OLD, SPARE, Close, Control, Keep, Kept, Ping, Pong

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "Action", "Dial", "Down", "Drop", "Fail", "FailOpen", "Finish", "Give", "Peering", "StateSettings", "Tell", "Up",
]  # fmt: skip

# Why links, items and requests came to nothing; the reasons of closes are in `wire.envelopes`.
SILENT = "silent"
DRAINED = "drained"
LOST = "lost"
RESTARTED = "restarted"
STOPPED = "stopped"

_ENDS = frozenset({BYE, IDLE, FULL})  # the peer wants no link now; SPARE and OLD of the last one are a loss


class Peering:
    """All links of one pair. Ask `advance` after any input but `heard`. What is said of a forgotten link is ignored."""

    def __init__(self, own: bytes, peer: bytes, settings: StateSettings, rng: Random) -> None:
        self.rtt: float | None = None
        """Seconds, by the last pong."""
        self._decides = own > peer
        self._settings = settings
        self._links: dict[int, LinkState] = {}
        self._waiting = Waiting()
        self._open = 0  # requests that wait for answers
        self._calling = Calling(settings.redials, settings.jitter, rng)
        self._round: Round | None = None
        self.instance: bytes | None = None
        """Which start of the peer the latest link belongs to."""
        self._usable_since = -math.inf
        self._doubts: list[float] = []  # when links were lost that may have taken an answer with them
        self._farewell: str | None = None  # close everything once nothing is queued
        self._stopped = False
        self._actions: list[Action] = []
        self._heard = 0
        self._pings = 0
        self._wake_at = -math.inf

    # ------------------------------------------------------------------------------------------------------ readings

    @property
    def usable(self) -> int:
        """How many links are up and not closing."""
        return len(self._usable())

    @property
    def usable_links(self) -> list[int]:
        """Their numbers, oldest first."""
        return [link.number for link in self._usable()]

    @property
    def links(self) -> int:
        """How many there are, with those that close."""
        return len(self._links)

    @property
    def current(self) -> int | None:
        """The link that the next message goes on. None: there is no link, or it is not yet decided which."""
        link = self._choice()
        return None if link is None else link.number

    @property
    def queued(self) -> tuple[int, int]:
        """Items and bytes not yet handed over. Their bound is the caller's, who knows whom to let wait."""
        return len(self._waiting), self._waiting.size

    @property
    def over(self) -> bool:
        """Nothing is left: no link, nothing queued or open, no call under way or to come, nothing to be done."""
        left = self._links or self._waiting or self._open or self._actions
        return not left and not self._calling.dialing and self._calling.due_at == math.inf

    # -------------------------------------------------------------------------------------------------------- inputs

    def submit(self, item: Item, size: int, now: float) -> None:
        """Send `item`, `size` bytes, as soon as a link takes it. ValueError when it is queued already."""
        self._waiting.add(item, size)
        self._calling.demanded(now)

    def cancel(self, item: Item) -> bool:
        """Take `item` back. False when it has been handed over, has failed, or was never here."""
        return self._waiting.remove(item)

    def expecting(self, open_requests: int, now: float) -> None:
        """How many requests wait for answers."""
        self._open = open_requests
        if not open_requests:
            self._doubts.clear()

    def up(self, link: int, dialed: bool, instance: bytes, now: float) -> None:
        """A link has proved itself: to who called with the answer, to who was called with the first frame after it.

        To a link that we dialed, `advance` tells a ping before anything else: that is this first frame. `instance`:
        which start of the peer it belongs to. ValueError when the link is known.
        """
        if link in self._links:
            raise ValueError(f"link {link} is up already")
        self._calling.up(dialed)
        if self.instance is not None and self.instance != instance:
            self._restarted(now)
        self.instance = instance
        new = self._links[link] = LinkState(link, dialed, self._settings, self._actions, now)
        self._hear(new, now)
        if self._stopped:
            new.close(BYE, now)
        else:
            self._join(new, now)
        self._make_room(new, now)

    def heard(self, link: int, now: float) -> None:
        """A whole frame has come on it. Calls for no `advance`."""
        at = self._links.get(link)
        if at is not None:
            self._hear(at, now)

    def control(self, link: int, control: Control, now: float) -> None:
        """A control has come on it, which is also heard."""
        at = self._links.get(link)
        if at is None or at.state is State.FINISHING:
            return
        self._hear(at, now)
        if isinstance(control, Close):
            self._closed(at, control.reason, now)
        elif at.state is State.CLOSING:
            return  # our last word is said there
        elif isinstance(control, Ping):
            at.tell(Pong(control.n), now)
        elif isinstance(control, Pong):
            self._pong(at, control.n, now)
        elif isinstance(control, Keep):
            at.tell(Kept(), now)
        elif self._round is not None:  # to a keep of this round or an earlier one: the link works both ways
            self._round = None
            for other in self._usable():
                if other is not at:
                    other.close(SPARE, now)

    def ready(self, link: int, now: float) -> None:
        """What it was given has been written."""
        at = self._links.get(link)
        if at is not None:
            at.busy = False

    def lost(self, link: int, reason: str, now: float) -> None:
        """Its connection is over: by its end, because it broke, or because it was to finish and has."""
        at = self._links.get(link)
        if at is not None:
            self._forget(at, reason, now)

    def dial_failed(self, why: object, now: float) -> None:
        """The call that was under way came to nothing."""
        if self._usable():
            self._calling.dialing = False
        elif not self._calling.failed(now):
            self._fail_waiting(why)

    def met(self, now: float) -> None:
        """The peer was heard to live, by other means than its links: what waits for the next call need not."""
        self._calling.met(now)

    def stop(self, now: float) -> None:
        """Hand over what is queued if there is a link, say goodbye, and take no more."""
        self._stopped = True
        self._farewell = BYE
        self._round = None
        self._calling.stop()

    def retire(self, reason: str, now: float) -> None:
        """Close the links, behind what is queued. A message after that calls the peer again."""
        if not self._stopped and self._usable():
            self._farewell = reason
            self._round = None

    # -------------------------------------------------------------------------------------------------------- output

    def advance(self, now: float) -> tuple[list[Action], float | None]:
        """What to do, in this order; and when to ask again, or a moment before that."""
        for link in list(self._links.values()):
            if link.given_up_at <= now:
                self._drop(link, SILENT if link.state is State.OPEN else DRAINED, now)
            elif link.ping_at <= now:
                link.ping(self._next_ping(), now)
        if self._round is not None and self._round.again_at <= now:
            self._begin_round(now)
        if self._round is not None and self._round.settle_at <= now:
            self._links[self._round.decide(now + self._settings.kept_within)].tell(Keep(), now)
        self._hand_over(now)
        if self._farewell is not None:
            self._take_leave(self._farewell, now)
        if not self._stopped and not self._usable() and self._calling.begin(bool(self._waiting), now):
            self._actions.append(Dial())
        while self._doubts and self._doubts[0] + self._settings.grace <= now:
            self._actions.append(FailOpen(LOST, self._doubts.pop(0)))
        actions = self._actions.copy()
        self._actions.clear()  # the links hold this very list
        return actions, self._next_wake(now)

    def _next_wake(self, now: float) -> float | None:
        moments = [self._calling.wake_at]
        if self._doubts:
            moments.append(self._doubts[0] + self._settings.grace)
        if self._round is not None:
            moments += (self._round.settle_at, self._round.again_at)
        for link in self._links.values():
            moments += (link.given_up_at, link.ping_at)
        wake_at = min(moments)
        if not now < self._wake_at <= wake_at:
            self._wake_at = wake_at  # else: too early does no harm, and an unchanged deadline costs the pump nothing
        return None if self._wake_at == math.inf else self._wake_at

    # ---------------------------------------------------------------------------------------------------- what to send

    def _choice(self) -> LinkState | None:
        usable = self._usable()
        if len(usable) < 2:
            return usable[0] if usable else None
        if self._round is not None:
            return None
        return max(usable, key=lambda link: link.heard_no)

    def _hand_over(self, now: float) -> None:
        if not self._waiting:
            return
        link = self._choice()
        if link is not None and not link.busy:
            link.busy = True
            link.spoke_at = now
            items = self._waiting.take(self._settings.batch_items, self._settings.batch_bytes)
            self._actions.append(Give(link.number, items))

    def _take_leave(self, reason: str, now: float) -> None:
        usable = self._usable()
        if usable and self._waiting:
            return
        if self._stopped:
            self._fail_waiting(STOPPED)
        else:
            self._farewell = None
        for link in usable:
            link.close(reason, now)
        if usable:
            self._left(usable[-1], reason, now, ended=True)

    def _fail_waiting(self, why: object) -> None:
        if self._waiting:
            self._actions.append(Fail(self._waiting.take_all(), why))

    def _doubt(self, now: float) -> None:
        """What was handed over up to now, here or there, may be lost."""
        if self._open and now not in self._doubts:
            # Two are enough, the next to be settled and the latest: nobody waits for more than twice the grace.
            self._doubts[1:] = [now]

    # ---------------------------------------------------------------------------------------------- which link stays

    def _join(self, new: LinkState, now: float) -> None:
        usable = self._usable()
        if len(usable) == 1:
            self._usable_since = now
            self._actions.append(Up(new.number))
        if self._decides and len(usable) > 1 and self._farewell is None:
            self._begin_round(now)
        elif new.dialed:
            new.ping(self._next_ping(), now)

    def _begin_round(self, now: float) -> None:
        usable = self._usable()
        n = self._next_ping()
        self._round = Round(n, {link.number: link.dialed for link in usable}, self._settings.tie)
        for link in usable:
            link.ping(n, now)

    def _pong(self, link: LinkState, n: int, now: float) -> None:
        rtt = link.answered(n, now)
        if rtt is not None:
            self.rtt = rtt
        if self._round is not None:
            self._round.pong(link.number, n, now)

    def _left(self, link: LinkState, reason: str, now: float, *, ended: bool = False) -> None:
        """`link` is not usable any more. `ended`: one of both sides wanted none."""
        usable = self._usable()
        if len(usable) > 1:
            if self._round is not None and self._round.winner == link.number:
                self._begin_round(now)
            elif self._round is not None:
                self._round.left(link.number, now)
            return
        self._round = None
        if usable:
            if self._decides:  # what the peer hears on it moves it over, should it not know yet that the other is gone
                usable[0].ping(self._next_ping(), now)
            return
        self._actions.append(Down(reason))
        self._doubt(now)
        if self._stopped:
            return
        self._farewell = None
        if self._waiting or not ended:
            lasted = self._usable_since + self._settings.settled <= now
            if not self._calling.lost(lasted, bool(self._waiting or self._open), now):
                self._fail_waiting(LOST)

    def _restarted(self, now: float) -> None:
        """The peer's process is another one. Its former links bring no more than what is still under way on them."""
        usable = self._usable()
        for link in usable:
            link.close(OLD, now)
        self._round = None
        if usable:
            self._actions.append(Down(RESTARTED))
        if self._open:
            self._doubts.clear()
            self._actions.append(FailOpen(RESTARTED, now))

    def _make_room(self, new: LinkState, now: float) -> None:
        while len(self._links) > self._settings.max_links:
            silent = min((link for link in self._links.values() if link is not new), key=lambda link: link.heard_no)
            self._drop(silent, FULL, now)

    # --------------------------------------------------------------------------------------------------------- links

    def _usable(self) -> list[LinkState]:
        return [link for link in self._links.values() if link.state is State.OPEN]

    def _hear(self, link: LinkState, now: float) -> None:
        self._heard += 1
        link.heard_no = self._heard
        link.heard_at = now

    def _next_ping(self) -> int:
        self._pings = self._pings % MAX_ID + 1
        return self._pings

    def _drop(self, link: LinkState, reason: str, now: float) -> None:
        self._actions.append(Drop(link.number, reason))
        self._forget(link, reason, now)

    def _forget(self, link: LinkState, reason: str, now: float) -> None:
        del self._links[link.number]
        if link.state is not State.FINISHING or link.busy:
            self._doubt(now)
        if link.state is State.OPEN:
            self._left(link, reason, now)

    def _closed(self, link: LinkState, reason: str, now: float) -> None:
        """The peer has said its last word."""
        was_open = link.state is State.OPEN
        if was_open:
            link.tell(Close(reason), now)
        link.finish(now)
        self._actions.append(Finish(link.number))
        if reason != SPARE:
            self._doubt(now)
        if was_open:
            self._left(link, reason, now, ended=reason in _ENDS)
