"""What the demo does with messages: both ways at the same moment, to a node that is dead, from one that dies itself.

A letter has arrived when it is in the receiver's inbox, and is delivered when the sender holds the receipt. In the end
everything that the inboxes and outboxes hold is read and held against what was written: each letter once, in the order
of its sender, and nothing besides. Anything else is a miss.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

from kadnet.cli.demo_story import around
from kadnet.errors import KadnetError
from kadnet.shapes import Message, Outgoing, Sent, Status

AT_ONCE, CAME_BACK, BOTH_DIED = "at_once", "after_return", "after_death"


class Writer(Protocol):
    """What the talk needs of a client; `kadnet.client.Client` has it."""

    def status(self) -> Status: ...
    def send(self, who: str, text: str, *, wait: float = 10.0) -> Sent: ...
    def delivery(self, id: str, *, wait: float = 10.0) -> Sent: ...
    def inbox(self, after: int = 0, limit: int = 1000, wait: float = 0.0) -> list[Message]: ...
    def outbox(self) -> list[Outgoing]: ...


class Talker(Protocol):
    """What the talk needs of a node; `demo_fleet.Member` has it."""

    @property
    def number(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def client(self) -> Writer: ...


T = TypeVar("T", bound=Talker)


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """Seconds. `patience`: for letters to arrive and for a receipt; a sender tries again every 30 s at the least.
    `tried_within`: for a first try to fail, which takes 1 where nobody answers; `look`: one look at it. `page`: one
    wait for an inbox; a node waits 30 at most."""

    patience: float = 40.0
    tried_within: float = 5.0
    look: float = 0.25
    page: float = 10.0


@dataclass(slots=True)
class Letter:
    """A message. `arrived` and `receipt`: seconds from the writing, or from the receiver's start for those that waited
    for it; None is never. `settled`: nothing of this changes any more."""

    sender: int
    to: int
    text: str
    kind: str
    id: str = ""
    arrived: float | None = None
    receipt: float | None = None
    problem: str | None = None
    settled: bool = False

    @property
    def delivered(self) -> bool:
        return self.arrived is not None and self.receipt is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, a line each, and how many letters came more than once."""

    misses: tuple[str, ...]
    twice: int


class Talk:
    """All letters of one demo, and what is known of them."""

    def __init__(self, settings: TalkSettings | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.letters: list[Letter] = []
        self.misses: list[str] = []
        self.twice = 0
        self._settings = settings or TalkSettings()
        self._ears: dict[int, _Ear] = {}

    def both_ways(self, one: Talker, other: Talker, rounds: int) -> Iterator[Letter]:
        """Both write at the same moment, again and again. Each letter twice: arrived, then settled."""
        pool = ThreadPoolExecutor(4)  # two write while two listen
        try:
            for turn in range(1, rounds + 1):
                both = [
                    (sender, to, self._letter(sender, to, _greeting(sender, to, turn), AT_ONCE))
                    for sender, to in ((one, other), (other, one))
                ]
                began = self.now()
                until = began + self._settings.patience
                hearings = [pool.submit(self._ear(to).hear, by.id, letter.text, until) for by, to, letter in both]
                sendings = [pool.submit(self._send, by, to, letter) for by, to, letter in both]
                for (_, _, letter), hearing, sending in zip(both, hearings, sendings, strict=True):
                    letter.arrived = _since(began, hearing.result())
                    yield letter
                    letter.receipt = _since(began, sending.result())
                    letter.settled = True
                    yield letter
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def leave(self, sender: Talker, to: Talker, count: int, kind: str) -> Iterator[Letter]:
        """Write to a node that is dead. Each letter once it is in the outbox, or was refused."""
        for turn in range(1, count + 1):
            letter = self._letter(sender, to, _LEFT[kind].format(turn, count), kind)
            try:
                sent = sender.client.send(to.id, letter.text, wait=0.0)
            except KadnetError as error:
                letter.problem = str(error)
            else:
                letter.id = sent.id
                if sent.state != "queued":
                    letter.problem = "a receipt came from a dead node"
            yield letter

    def tried(self, sender: Talker, letters: Sequence[Letter]) -> list[Outgoing]:
        """The sender's outbox, once the first of these was tried in vain, or too much time has gone."""
        until = self.now() + self._settings.tried_within
        first = next((letter.id for letter in letters if letter.id), None)
        while first and self.now() < until:
            if sender.client.delivery(first, wait=self._settings.look).problem is not None:
                break
        return sender.client.outbox()

    def collect(self, sender: Talker, to: Talker, letters: Sequence[Letter], began: float) -> Iterator[Letter]:
        """Letters that were left for a node whose start began at `began` on our clock. Each twice, as above."""
        until = self.now() + self._settings.patience
        for letter in letters:
            letter.arrived = _since(began, self._ear(to).hear(sender.id, letter.text, until))
            yield letter
            if letter.arrived is not None and letter.id:
                letter.receipt = _since(began, self._receipt(sender, letter))
            letter.settled = True
            yield letter

    def verify(self, talkers: Sequence[Talker]) -> None:
        """Read what everybody holds now, and note what is wrong with it."""
        for talker in talkers:
            if left := len(talker.client.outbox()):
                self.misses.append(f"the outbox of {talker.number:02} still holds {left}")
        inboxes = {talker.number: _everything(talker.client) for talker in talkers}
        verdict = judge(self.letters, {talker.id: talker.number for talker in talkers}, inboxes)
        self.misses += verdict.misses
        self.twice = verdict.twice

    def of(self, kind: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.kind == kind]

    def receipts(self) -> tuple[float, float] | None:
        """(median, most) milliseconds to the receipts of the letters that were delivered at once."""
        return _middle([1000 * letter.receipt for letter in self.of(AT_ONCE) if letter.receipt is not None])

    def returns(self) -> tuple[float, float] | None:
        """(median, most) seconds from a receiver's start to the arrival of a letter that had waited for it."""
        waited = self.of(CAME_BACK) + self.of(BOTH_DIED)
        return _middle([letter.arrived for letter in waited if letter.arrived is not None])

    def _letter(self, sender: Talker, to: Talker, text: str, kind: str) -> Letter:
        letter = Letter(sender.number, to.number, text, kind)
        self.letters.append(letter)
        return letter

    def _ear(self, of: Talker) -> _Ear:
        return self._ears.setdefault(of.number, _Ear(of.client, self._settings.page, self.now))

    def _send(self, sender: Talker, to: Talker, letter: Letter) -> float | None:
        """When the receipt was there."""
        try:
            sent = sender.client.send(to.id, letter.text, wait=self._settings.patience)
        except KadnetError as error:
            letter.problem = str(error)
            return None
        letter.id, letter.problem = sent.id, sent.problem
        return self.now() if sent.state == "delivered" else None

    def _receipt(self, sender: Talker, letter: Letter) -> float | None:
        try:
            sent = sender.client.delivery(letter.id, wait=self._settings.patience)
        except KadnetError as error:
            letter.problem = str(error)
            return None
        return self.now() if sent.state == "delivered" else None


class _Ear:
    """Reads one inbox, and remembers when each message was first seen there."""

    def __init__(self, client: Writer, page: float, now: Callable[[], float]) -> None:
        self._client = client
        self._page = page
        self._now = now
        self._after = 0
        self._heard: dict[tuple[str, str], float] = {}

    def hear(self, sender: str, text: str, until: float) -> float | None:
        """When the message came; None when it did not before `until`, or the node is gone."""
        while (sender, text) not in self._heard:
            left = until - self._now()
            if left <= 0:
                return None
            try:
                page = self._client.inbox(self._after, wait=min(left, self._page))
            except KadnetError:
                return None
            now = self._now()
            for message in page:
                self._after = message.number
                self._heard.setdefault((message.sender, message.text), now)
        return self._heard[sender, text]


def far_apart(talkers: Sequence[T]) -> tuple[T, T]:
    """The first one, and the one on the opposite side of the ring."""
    order = around(talkers)
    one = talkers[0]
    return one, order[(order.index(one) + len(order) // 2) % len(order)]


def judge(letters: Sequence[Letter], numbers: Mapping[str, int], inboxes: Mapping[int, Sequence[Message]]) -> Verdict:
    """Hold what came against what was written. `numbers`: of those who wrote, by ID; `inboxes` by number."""
    misses = [
        f"{way(letter)}: {letter.problem or _unsettled(letter)}"
        for letter in letters
        if not letter.delivered or letter.problem is not None
    ]
    twice = 0
    for to, inbox in inboxes.items():
        came = [(numbers.get(message.sender, -1), message.text) for message in inbox]
        written = [(letter.sender, letter.text) for letter in letters if letter.to == to]
        counts = Counter(came)
        for (sender, text), count in counts.items():
            if (sender, text) not in written:
                misses.append(f'{to:02} holds "{text}", which nobody wrote to it')
            elif count > 1:
                twice += 1
                misses.append(f'{sender:02} → {to:02} "{text}" came {count} times')
        missing = [letter for letter in letters if letter.to == to and (letter.sender, letter.text) not in counts]
        misses += [f"{way(letter)} is not in the inbox" for letter in missing if letter.delivered]
        for sender in sorted({sender for sender, _ in written}):
            due = [text for by, text in written if by == sender and (by, text) in counts]
            once = dict.fromkeys(text for by, text in came if by == sender and (by, text) in written)
            if due != list(once):
                misses.append(f"what {sender:02} wrote to {to:02} came in another order")
    return Verdict(tuple(misses), twice)


def way(letter: Letter) -> str:
    """From whom, to whom, and the text."""
    return f'{letter.sender:02} → {letter.to:02}  "{letter.text}"'


_LEFT = {CAME_BACK: "you were away, {} of {}", BOTH_DIED: "from my disk, {} of {}"}


def _greeting(sender: Talker, to: Talker, turn: int) -> str:
    return f"line {turn} from {sender.number:02}" if turn > 1 else f"hello {to.number:02}, this is {sender.number:02}"


def _unsettled(letter: Letter) -> str:
    return "did not arrive in time" if letter.arrived is None else "arrived, but no receipt came back"


def _since(began: float, at: float | None) -> float | None:
    return None if at is None else at - began


def _middle(values: Sequence[float]) -> tuple[float, float] | None:
    return (median(values), max(values)) if values else None


def _everything(client: Writer) -> list[Message]:
    found: list[Message] = []
    while page := client.inbox(found[-1].number if found else 0):
        found += page
    return found
