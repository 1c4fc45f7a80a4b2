"""Two nodes, the links between them, and a scheduler that may do its worst: for the property tests of `links/states`.

What carries no fault here is as slow as may be and keeps its order: what was put into a link is written within
`WRITING` seconds and has come within `LATENCY` more. Whatever is on its way on different links overtakes each other at
will. Sockets behave as those of TCP: one that is closed ends the stream behind what was written, and one that is closed
before everything was read destroys what is under way to the other end.

A fault hurts a link: it is cut (each end learns of it at another time, or never), one end's node is restarted, or the
machine itself gives it up. A link that nobody hurt loses nothing; that is checked here and by the tests.
"""

from __future__ import annotations

import math
import random
from typing import Any

from kadnet.links.states import (
    RESTARTED,
    Action,
    Dial,
    Down,
    Drop,
    Fail,
    FailOpen,
    Finish,
    Give,
    Peering,
    StateSettings,
    Tell,
    Up,
)
from kadnet.wire.envelopes import FULL, SPARE, Close
from tests.properties.pairparts import BROKEN, EOF, FIN, READY, Call, End, Item, Link, Node

WRITING = 0.4
LATENCY = 1.0
CALLING = 1.5  # each way of a handshake


class World:
    """`trace`: what happened, in words."""

    def __init__(self, seed: int, settings: StateSettings, machine: type[Peering] = Peering) -> None:
        self.rng = random.Random(seed)
        self.settings = settings
        self.machine = machine
        self.now = 0.0
        self.trace: list[tuple[Any, ...]] = []
        self.links: list[Link] = []  # those with an open end
        self.made = 0
        self.calls: list[Call] = []
        ids = [bytes([1]) * 32, bytes([2]) * 32]
        self.rng.shuffle(ids)
        self.nodes = [Node(side, ids[side]) for side in (0, 1)]
        self.items: list[Item] = []
        self.given: dict[Item, Link] = {}
        self.delivered: dict[Item, int] = {}
        self.told: dict[Item, object] = {}
        self.excused: set[Item] = set()
        for node in self.nodes:
            self.start(node)

    # --- nodes

    def start(self, node: Node) -> None:
        node.starts += 1
        node.machine = self.machine(node.id, self.nodes[1 - node.side].id, self.settings, self.rng)
        node.dialing = node.stopping = node.is_up = False
        node.open = {}
        node.wake_at = None
        node.ends = {}

    def submit(self, node: Node, size: int, *, asks: bool = False, answers: int | None = None) -> None:
        item = Item(node.side, len(self.items), size, asks, answers)
        self.items.append(item)
        self.log(node, "submits", item)
        if asks:
            node.open[item.number] = math.inf
            node.machine.expecting(len(node.open), self.now)
        node.machine.submit(item, size, self.now)
        self.kick(node)

    def settle(self, node: Node, number: int) -> None:
        """A request waits no longer."""
        if node.open.pop(number, None) is not None:
            node.machine.expecting(len(node.open), self.now)

    def cancel(self, node: Node, item: Item) -> None:
        """Its sender does not want it sent any more."""
        if node.machine.cancel(item):
            self.log(node, "cancels", item.number)
            assert item not in self.given
            self.told[item] = "cancelled"
        self.settle(node, item.number)
        self.kick(node)

    def kick(self, node: Node) -> None:
        machine = node.machine
        actions, node.wake_at = machine.advance(self.now)
        for action in actions:
            self.log(node, "", action)
            self.perform(node, action)
        assert node.is_up == (machine.usable > 0), "Up and Down say whether there is a usable link"
        assert machine.links <= self.settings.max_links
        assert node.wake_at is None or node.wake_at > self.now, "it comes to rest"
        if node.stopping and machine.over:
            assert not node.ends
            self.log(node, "is over and starts again")
            self.abandon(node, quietly=False)
            self.start(node)

    def perform(self, node: Node, action: Action) -> None:
        now = self.now
        match action:
            case Dial():
                assert not node.dialing, "one call at a time"
                assert not node.stopping
                node.dialing = True
                self.calls.append(Call(node, node.machine, now + CALLING))
            case Up():
                assert not node.is_up
                node.is_up = True
            case Down():
                assert node.is_up
                node.is_up = False
            case FailOpen(why=why, before=before):
                assert why == RESTARTED or before + self.settings.grace == now, "they are waited for"
                for number in [number for number, given_at in node.open.items() if given_at <= before]:
                    self.settle(node, number)
            case Fail(items=items, why=why):
                assert items
                for item in items:
                    assert item not in self.given, "what was handed over is not told to have failed"
                    assert item not in self.told
                    self.told[item] = why
                    self.settle(node, item.number)
            case Tell(link=number, control=control):
                end = self.end(node, number)
                end.said_close = isinstance(control, Close)
                end.to_write.append((now + WRITING, control))
            case Give(link=number, items=items):
                end = self.end(node, number)
                assert not end.busy, "one batch at a time"
                assert 1 <= len(items) <= self.settings.batch_items
                assert len(items) == 1 or sum(item.size for item in items) <= self.settings.batch_bytes
                end.busy = True
                for item in items:
                    assert item not in self.given, "nothing is handed over twice"
                    assert item not in self.told
                    self.given[item] = end.link
                    if item.number in node.open:
                        node.open[item.number] = now
                    end.to_write.append((now + WRITING, item))
                end.to_write.append((now + WRITING, READY))
            case Finish(link=number):
                end = node.ends[number]
                assert end.said_close
                assert end.heard_close, "nothing is left to be read"
                assert not end.finishing
                end.finishing = True
                end.to_write.append((now + WRITING, FIN))
            case Drop(link=number, reason=reason):
                end = node.ends.pop(number)
                assert end.link.hurt or reason == FULL, "a link that nobody hurt is not given up"
                end.link.hurt = True
                node.lost_at = now
                self.close(end)

    def end(self, node: Node, number: int) -> End:
        end = node.ends[number]
        assert end.open
        assert not end.said_close, "close is the last word"
        return end

    # --- sockets

    def close(self, end: End) -> None:
        """The socket goes; what is written goes on its way, what is not is gone."""
        other = end.other
        unread = bool(end.coming)
        end.open = False
        end.to_write.clear()
        end.coming.clear()
        if not other.open or end.link.cut:
            return
        if unread:
            self.reset(other)
        else:
            other.coming.append((self.now + LATENCY, EOF))

    def reset(self, end: End) -> None:
        end.coming.clear()
        end.coming.append((self.now + LATENCY, BROKEN))

    def write(self, end: End) -> None:
        """The first of what it has yet to write."""
        thing = end.to_write.popleft()[1]
        node, number, other = end.node, end.link.number, end.other
        if thing is READY:
            end.busy = False
            node.machine.ready(number, self.now)
            self.kick(node)
        elif thing is FIN:
            self.log(node, "has finished", number)
            del node.ends[number]
            self.close(end)
            node.machine.lost(number, "finished", self.now)
            self.kick(node)
        elif end.link.cut:
            pass
        elif other.open:
            other.coming.append((self.now + LATENCY, thing))
        elif (not end.coming or end.coming[-1][1] is not BROKEN) and not end.finishing:
            self.reset(end)  # nobody is there any more

    def deliver(self, end: End) -> None:
        """The first of what is under way to it."""
        thing = end.coming.popleft()[1]
        node, number = end.node, end.link.number
        if thing is EOF or thing is BROKEN:
            self.log(node, "learns that it is", thing, number)
            end.open = False
            end.to_write.clear()
            if end.known:
                if not end.finishing or end.busy:
                    node.lost_at = self.now
                del node.ends[number]
                node.machine.lost(number, str(thing), self.now)
                self.kick(node)
            return
        if not end.known:
            self.up(end)
        if isinstance(thing, Item):
            self.log(node, "receives", thing, "on", number)
            assert not end.heard_close
            node.machine.heard(number, self.now)
            self.receive(node, thing)
            return
        assert not isinstance(thing, str)
        assert not end.heard_close, "nothing is said after close"
        if isinstance(thing, Close):
            end.heard_close = True
            if thing.reason != SPARE:
                node.lost_at = self.now
        self.log(node, "hears", thing, number)
        node.machine.control(number, thing, self.now)
        self.kick(node)

    def receive(self, node: Node, item: Item) -> None:
        self.delivered[item] = self.delivered.get(item, 0) + 1
        if item.asks:
            self.submit(node, item.size, answers=item.number)
        elif item.answers is not None:
            self.settle(node, item.answers)

    def up(self, end: End) -> None:
        number = end.link.number
        self.log(end.node, "has dialed" if end.dialed else "has been called", number, end.peer_instance)
        end.known = True
        end.node.ends[number] = end
        if end.dialed:
            end.node.dialing = False
        end.node.machine.up(number, end.dialed, end.peer_instance, self.now)

    # --- calls

    def proceed(self, call: Call) -> None:
        """The first message has come, or the answer to it."""
        node, other = call.node, self.nodes[1 - call.node.side]
        if call.link is None:
            call.due = self.now + CALLING
            self.made += 1
            call.link = link = Link(self.made)
            self.links.append(link)
            link.ends = [End(link, each, each is node) for each in self.nodes]
            link.ends[node.side].peer_instance = other.instance
            link.ends[other.side].peer_instance = node.instance
            return
        self.calls.remove(call)
        end = call.link.ends[node.side]
        if end.coming and end.coming[-1][1] is BROKEN and not call.link.cut:
            end.open = False
            self.refuse(call)
            return
        self.up(end)
        self.kick(node)

    def refuse(self, call: Call) -> None:
        if call in self.calls:
            self.calls.remove(call)
        if call.link is not None:
            call.link.hurt = True
            self.close(call.link.ends[call.node.side])
        self.log(call.node, "is refused")
        call.node.dialing = False
        call.node.machine.dial_failed("refused", self.now)
        self.kick(call.node)

    # --- faults

    def cut(self, link: Link) -> None:
        """Nothing comes through any more; whether an end is told, and when, is chance."""
        self.log(None, "CUT", link.number)
        link.hurt = link.cut = True
        for end in link.ends:
            end.coming.clear()
            if end.open and self.rng.random() < 0.6:
                end.coming.append((self.now + self.rng.random() * 8, BROKEN))

    def restart(self, node: Node) -> None:
        """Killed and started anew: its kernel closes its sockets, or its machine lost power and says nothing."""
        quietly = self.rng.random() < 0.4
        self.log(node, "RESTARTS", "quietly" if quietly else "")
        self.calls = [call for call in self.calls if call.node is not node]
        self.abandon(node, quietly)
        self.excused.update(item for item in self.items if item.side == node.side and item not in self.given)
        self.start(node)

    def abandon(self, node: Node, quietly: bool) -> None:
        """All its sockets go, those of handshakes under way too."""
        for link in self.links:
            end = link.ends[node.side]
            if end.open:
                link.hurt = True
                if quietly:
                    link.cut = True
                    end.other.coming.clear()
                self.close(end)

    # --- the scheduler's choices

    def events(self) -> list[tuple[float, Any, Any]]:
        """Everything that can happen next: (when it has to, what, with what)."""
        found: list[tuple[float, Any, Any]] = [(call.due, self.proceed, call) for call in self.calls]
        self.links = [link for link in self.links if link.ends[0].open or link.ends[1].open]
        for link in self.links:
            for end in link.ends:
                if end.open:
                    if end.coming and (end.known or not end.dialed):
                        found.append((end.coming[0][0], self.deliver, end))
                    if end.to_write:
                        found.append((end.to_write[0][0], self.write, end))
        return found

    def happen(self, choice: int) -> None:
        """One of the things that can."""
        events = self.events()
        if events:
            _, what, on = events[choice % len(events)]
            what(on)
        else:
            self.pass_time(10.0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, but no longer than to the next thing that has to happen; which happens then."""
        until = self.now + seconds
        event = min(self.events(), key=lambda event: event[0], default=None)
        if event is not None and event[0] <= until:
            until = max(self.now, event[0])
        else:
            event = None
        for node in self.nodes:
            if node.wake_at is not None and node.wake_at <= until:
                until = node.wake_at
                event = None
        self.now = until
        for node in self.nodes:
            if node.wake_at is not None and node.wake_at <= until:
                self.kick(node)
        if event is not None:
            event[1](event[2])

    def log(self, node: Node | None, *words: Any) -> None:
        self.trace.append((self.now, None if node is None else node.side, *words))

    def story(self) -> str:
        """The trace for people."""
        larger = max(self.nodes, key=lambda node: node.id).side
        lines = [f"the larger ID, which decides, is {'AB'[larger]}"]
        for now, side, *words in self.trace:
            who = " " if side is None else "AB"[side]
            lines.append(f"{now:9.4f}  {who}  " + " ".join(str(word) for word in words))
        return "\n".join(lines)
