"""The phases of the demo that are about messages, in front of the screen: talk, write to a dead node, die oneself.

What is written, awaited and judged is `demo_talk`'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from kadnet.cli.demo_fleet import Fleet, Member
from kadnet.cli.demo_screen import Screen, ring, since
from kadnet.cli.demo_story import around
from kadnet.cli.demo_talk import AT_ONCE, BOTH_DIED, CAME_BACK, Letter, Talk, far_apart, way
from kadnet.shapes import Outgoing

_TEXTS = 38  # columns for who writes what to whom


def talk_through(fleet: Fleet, screen: Screen, talk: Talk, messages: int, killed: Sequence[int]) -> None:
    """All of it. `messages`: how many are written one way at a time; `killed`: nodes that are dead since before."""
    told = _Telling(fleet, screen, talk, messages)
    told.write_to_each_other(killed)
    told.write_to_a_dead_node()
    told.die_with_a_full_outbox()
    told.verify()


class _Telling:
    """Two nodes and what they go through. `one` and `other` are as they run now."""

    def __init__(self, fleet: Fleet, screen: Screen, talk: Talk, messages: int) -> None:
        self._fleet = fleet
        self._screen = screen
        self._talk = talk
        self._messages = messages
        # Not node 00: whoever starts again must have been told an address like everybody else.
        self._one, self._other = far_apart([member for member in fleet.alive if member.number])

    def write_to_each_other(self, killed: Sequence[int]) -> None:
        began = time.monotonic()
        one, other = _name(self._one), _name(self._other)
        self._screen.phase(
            "Write to each other",
            f"Nodes {one} and {other} lie on opposite sides of the ring. Each is given the other's ID and nothing "
            "else: it finds through the overlay where that is, and calls. Both write at the same moment, so each "
            "calls the other, and one encrypted link is left for both ways. Delivered means that the sender holds a "
            "receipt, which the receiver signed when the message was on its disk.",
        )
        inside = ["who talk", f"{one} → {other}", f"{other} → {one}", "", *(["x x dead"] if killed else [])]
        order = [member.number for member in around(self._fleet.members)]
        self._screen.lines(ring(order, {self._one.number, self._other.number}, killed, inside))
        self._screen.waiting(f"{one} and {other} look for each other")
        for letter in self._talk.both_ways(self._one, self._other, self._messages):
            if not letter.settled:
                self._arrived(letter, "arrived {:.1f} ms", 1000)
            else:
                self._settled(letter, f", delivered {1000 * (letter.receipt or 0):.1f} ms")
        self._close(AT_ONCE, began)

    def write_to_a_dead_node(self) -> None:
        began = time.monotonic()
        one, other = _name(self._one), _name(self._other)
        self._screen.phase(
            "Write to a dead node",
            f"SIGKILL for {other}. {one} writes to it all the same, and the messages wait in its outbox, which is on "
            f"disk. Then {other} is started again, by the same command and in its old data directory. It gets another "
            "port, and nobody is told: it asks the contacts that its disk remembers, and so is heard of.",
        )
        remembered = self._fleet.remembered(self._other)
        self._fleet.kill(self._other)
        self._screen.tell(f"{other} is dead; its disk remembers {remembered} contacts")
        letters = self._leave(CAME_BACK)
        self._show_outbox(letters, self._one.client.outbox())
        self._other, start = self._revive(self._other)
        self._collect(letters, start)
        self._close(CAME_BACK, began)

    def die_with_a_full_outbox(self) -> None:
        began = time.monotonic()
        one, other = _name(self._one), _name(self._other)
        self._screen.phase(
            "Die with a full outbox",
            f"SIGKILL for {other} once more. {one} writes, and gets SIGKILL itself: now the messages are on the disk "
            "of a dead node and nowhere else. Both are started again, the sender first.",
        )
        self._fleet.remembered(self._one)
        self._fleet.kill(self._other)
        self._screen.tell(f"{other} is dead")
        letters = self._leave(BOTH_DIED)
        self._fleet.kill(self._one)
        self._screen.tell(f"{one} is dead too")
        self._one, _ = self._revive(self._one)
        self._screen.waiting(f"{one} tries to reach {other}")
        self._show_outbox(letters, self._talk.tried(self._one, letters))
        self._other, start = self._revive(self._other)
        self._collect(letters, start)
        self._close(BOTH_DIED, began)

    def verify(self) -> None:
        self._screen.waiting("reading every inbox and outbox")
        self._talk.verify((self._one, self._other))
        for number, count in sorted(self._fleet.each(lambda client: client.status().messages).items()):
            if count and number not in (self._one.number, self._other.number):
                self._talk.misses.append(f"{number:02} was sent nothing and holds messages: {count}")

    # --------------------------------------------------------------------------------------------------------- steps

    def _leave(self, kind: str) -> list[Letter]:
        """Write to the dead."""
        letters = []
        for letter in self._talk.leave(self._one, self._other, self._messages, kind):
            letters.append(letter)
            self._screen.begin(f"{way(letter):{_TEXTS}}")
            self._screen.end(letter.problem or "queued", good=letter.problem is None)
        return letters

    def _show_outbox(self, letters: Sequence[Letter], waiting: Sequence[Outgoing]) -> None:
        """What waits, and why."""
        one, other = _name(self._one), _name(self._other)
        if len(waiting) != len(letters):
            self._talk.misses.append(f"the outbox of {one} held {len(waiting)}, not {len(letters)}")
        problem = next((outgoing.problem for outgoing in waiting if outgoing.problem is not None), None)
        why = "" if problem is None else f"; tried in vain: {problem.replace(self._other.id, other)}"
        self._screen.tell(f"the outbox of {one} holds {len(waiting)} for {other}{why}")

    def _revive(self, member: Member) -> tuple[Member, float]:
        """The node, running again, and when its start began by the talk's clock."""
        self._screen.waiting(f"{_name(member)} is starting")
        start = self._talk.now()
        again = self._fleet.revive(member)
        self._screen.tell(f"{_name(again)} runs again, on port {_port(again)} instead of {_port(member)}")
        return again, start

    def _collect(self, letters: Sequence[Letter], start: float) -> None:
        """Wait for what was left for the other, who was started at `start`."""
        self._screen.waiting(f"{_name(self._other)} waits for its messages")
        for letter in self._talk.collect(self._one, self._other, letters, start):
            if not letter.settled:
                self._arrived(letter, "{:.2f} s after its start", 1)
            else:
                self._settled(letter, ", delivered")

    def _arrived(self, letter: Letter, form: str, scale: float) -> None:
        told = "did not arrive" if letter.arrived is None else form.format(scale * letter.arrived)
        self._screen.begin(f"{way(letter):{_TEXTS}}{told}")

    def _settled(self, letter: Letter, told: str) -> None:
        self._screen.end(told if letter.delivered else ", not delivered", good=letter.delivered)

    def _close(self, kind: str, began: float) -> None:
        """End a phase: what came, and whether one link stands between the two."""
        pair = (self._one, self._other)
        joined = self._fleet.until(lambda: all(member.client.status().links == 1 for member in pair))
        links = "1 and 1" if joined else " and ".join(str(member.client.status().links) for member in pair)
        if not joined:
            self._talk.misses.append(f"{_name(self._one)} and {_name(self._other)} had {links} links, not one each")
        letters = self._talk.of(kind)
        count = sum(letter.delivered for letter in letters)
        good = joined and count == len(letters)
        between = "one link between them" if joined else f"links: {links}"
        self._screen.result(f"{count} of {len(letters)} delivered, {between} ({since(began)})", good=good)


def _name(member: Member) -> str:
    return f"{member.number:02}"


def _port(member: Member) -> str:
    return member.host_port.rpartition(":")[2]
