"""An overlay that is a few dictionaries, and a fleet of the demo without processes on it."""

from __future__ import annotations

import threading  # noqa: TID251  # the demo's own threads ask this client
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from kadnet.cli.demo_fleet import Member
from kadnet.errors import NoNode
from kadnet.identity import nodeid
from kadnet.identity.keys import Identity
from kadnet.shapes import Found, GetStats, Message, Outgoing, Sent, Status, Stored, Value, encode_value

COPIES = 4
_IN_VAIN = 0.5  # real seconds after which a message will not come any more


def id_of(number: int) -> str:
    return nodeid.encode(Identity.from_seed(bytes([number]) * 32).public)


def took(**changes: object) -> GetStats:
    stats = GetStats("network", queries=4, hops=1, ms=2.0, datagrams_in=4, datagrams_out=5)
    return replace(stats, **changes)  # type: ignore[arg-type]  # the fields by name


def found(value: bytes | None = b"blue", stats: GetStats | None = None) -> Found:
    values = () if value is None else (Value(*encode_value(value), None, None, None),)
    return Found("color", values, stats if stats is not None else took())


class Clock:
    """Time that passes with each look at it, and when somebody waits in vain."""

    def __init__(self) -> None:
        self._time = 0.0

    def __call__(self) -> float:
        self._time += 0.001
        return self._time

    def waited(self, seconds: float) -> None:
        self._time += seconds


@dataclass
class Overlay:
    """`forgotten`: keys that nobody has any more. `lost`, `doubled`: texts that never come, or come twice. `deaf`:
    nodes whose receipts get lost. `strays`: nodes that get a copy of everything."""

    alive: set[int] = field(default_factory=set)
    values: dict[str, bytes] = field(default_factory=dict)
    holders: dict[str, set[int]] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    inboxes: dict[int, list[Message]] = field(default_factory=dict)
    outboxes: dict[int, list[Outgoing]] = field(default_factory=dict)
    links: set[frozenset[int]] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    deaf: set[int] = field(default_factory=set)
    strays: set[int] = field(default_factory=set)
    sent: int = 0
    clock: Clock = field(default_factory=Clock)
    news: threading.Condition = field(default_factory=threading.Condition)

    def post(self, sender: int, to: int, text: str) -> str:
        with self.news:
            self.sent += 1
            id = f"{self.sent:032x}"
            waiting = self.outboxes.setdefault(sender, [])
            waiting.append(Outgoing(self.sent, id, id_of(to), text, 0, 0, None, None))
            self.deliver()
            return id

    def deliver(self) -> None:
        """All that can be delivered, is."""
        with self.news:
            for sender in sorted(self.alive):
                for outgoing in list(self.outboxes.get(sender, [])):
                    to = next((number for number in self.alive if id_of(number) == outgoing.recipient), None)
                    if to is None or outgoing.text in self.lost:
                        continue
                    self.links.add(frozenset((sender, to)))
                    for number in [to, *self.strays]:
                        for _ in range(2 if outgoing.text in self.doubled else 1):
                            self.come(sender, number, outgoing)
                    if to not in self.deaf:
                        self.outboxes[sender].remove(outgoing)
            self.news.notify_all()

    def come(self, sender: int, to: int, outgoing: Outgoing) -> None:
        inbox = self.inboxes.setdefault(to, [])
        inbox.append(Message(len(inbox) + 1, outgoing.id, id_of(sender), outgoing.text, 0, 0))


@dataclass
class Pretended:
    """A client of one node in `Overlay`."""

    overlay: Overlay
    number: int

    def status(self) -> Status:
        records = sum(self.number in holders for holders in self.overlay.holders.values())
        links = sum(self.number in pair for pair in self.overlay.links)
        came, left = len(self.overlay.inboxes.get(self.number, [])), len(self.outbox())
        return Status(
            "", "", "", 0.0, 9, links, records, 0, True, True, COPIES, "public", (), (), {}, messages=came, queued=left
        )

    def put(self, key: str, value: bytes) -> Stored:
        key = f"blob:{value.hex()}" if key == "blob:" else key.replace("me/", f"id-{self.number}/")
        start = len(self.overlay.values)
        living = sorted(self.overlay.alive)
        self.overlay.values[key] = value
        self.overlay.holders[key] = {living[(start * 3 + step) % len(living)] for step in range(COPIES)}
        return Stored(key, 1, COPIES, COPIES)

    def get(self, key: str, *, stats: bool = False) -> Found:
        self.overlay.asked.append((key, self.number))
        if self.number in self.overlay.holders[key] & self.overlay.alive:
            return found(self.overlay.values[key], took(answered_by="self", datagrams_in=0, datagrams_out=0))
        living = self.overlay.holders[key] & self.overlay.alive
        return found(self.overlay.values[key] if living and key not in self.overlay.forgotten else None)

    def send(self, who: str, text: str, *, wait: float = 10.0) -> Sent:
        to = next(number for number in range(256) if id_of(number) == who)
        id = self.overlay.post(self.number, to, text)
        return self.delivery(id, wait=wait)

    def delivery(self, id: str, *, wait: float = 10.0) -> Sent:
        if id in [outgoing.id for outgoing in self.outbox()]:
            return Sent(id, "queued", "connection refused")
        return Sent(id, "delivered")

    def inbox(self, after: int = 0, limit: int = 1000, wait: float = 0.0) -> list[Message]:
        def came() -> list[Message]:
            return self.overlay.inboxes.get(self.number, [])[after : after + 2]  # pages are short here

        if self.number not in self.overlay.alive:
            raise NoNode("no node runs there")
        with self.overlay.news:
            if wait and not self.overlay.news.wait_for(came, _IN_VAIN):
                self.overlay.clock.waited(wait)
            return came()

    def outbox(self) -> list[Outgoing]:
        return list(self.overlay.outboxes.get(self.number, []))


class PretendedFleet:
    """What `demo` needs of a fleet, without processes."""

    overlay = Overlay()
    raises: BaseException | type[BaseException] | None = None

    def __init__(self, copies: int = COPIES) -> None:
        assert copies == COPIES
        type(self).overlay = Overlay()
        self.members: list[Member] = []
        self.alive: list[Member] = []
        self.ended = False
        self.kills: list[int] = []

    def __enter__(self) -> PretendedFleet:
        return self

    def __exit__(self, *_what: object) -> None:
        self.ended = True

    def start(self, count: int) -> Iterator[Member]:
        for number in range(count):
            client = Pretended(self.overlay, number)
            member = Member(number, id_of(number), f"127.0.0.1:{number}", client)  # type: ignore[arg-type]  # its verbs
            self.overlay.alive.add(number)
            self.members.append(member)
            self.alive.append(member)
            yield member

    def wait_joined(self) -> None:
        if self.raises is not None:
            raise self.raises

    def kill(self, member: Member) -> None:
        self.kills.append(member.number)
        self.alive.remove(member)
        self.overlay.alive.remove(member.number)
        self.overlay.links = {pair for pair in self.overlay.links if member.number not in pair}

    def revive(self, member: Member) -> Member:
        again = replace(member, host_port=f"127.0.0.1:{1000 + member.number}")
        self.members[self.members.index(member)] = again
        self.alive.append(again)
        self.overlay.alive.add(member.number)
        self.overlay.deliver()
        return again

    def remembered(self, member: Member) -> int:
        return member.client.status().peers

    def until(self, check: Callable[[], bool]) -> bool:
        return check()

    def check(self) -> None:
        pass

    def each(self, ask: Callable[[Pretended], int]) -> dict[int, int]:
        return {member.number: ask(member.client) for member in self.alive}  # type: ignore[arg-type]  # see start
