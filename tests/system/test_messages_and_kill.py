from __future__ import annotations

import json
import os
import random
import signal

from tests.system.processes import Running, Town, until
from tests.system.talking import Going, going, outbox, received, texts

ROUNDS = 12
LINES = 8


def ids(messages: list[dict[str, str]]) -> list[str]:
    return [message["id"] for message in messages]


def reports(chat: Going, count: int) -> list[dict[str, str]]:
    """What a chat says next of lines that were typed; messages that come meanwhile are passed over."""
    found: list[dict[str, str]] = []
    while len(found) < count:
        said = json.loads(chat.line())
        if "state" in said:
            found.append(said)
    return found


def test_a_message_to_a_stopped_node_arrives_once_after_it_starts_also_at_another_port(town: Town) -> None:
    seed, sender, recipient = town.overlay(3)
    assert sender("send", recipient.id, "before").code == 0
    assert recipient.end()[0] == 0
    done = sender("send", recipient.id, "while you were away", "--wait", "0.5", "--json")
    assert (done.code, done.json["state"]) == (1, "queued")
    assert ids(outbox(sender)) == [done.json["id"]]
    again = town.start(recipient.data_dir, bootstrap=[seed.host_port])
    assert (again.id, again.port != recipient.port) == (recipient.id, True)
    with going(again, "inbox", "--follow", "--json") as follower:
        shown = [json.loads(line) for line in follower.lines(2)]
    assert [message["text"] for message in shown] == ["before", "while you were away"]
    assert shown[1]["id"] == done.json["id"]
    until(lambda: outbox(sender) == [])
    assert sender("send", recipient.id, "afterwards").code == 0
    again.kill()
    last = town.start(again.data_dir, bootstrap=[seed.host_port])
    assert sender("send", recipient.id, "and at a third port", "--wait", "60").code == 0
    assert texts(last) == ["before", "while you were away", "afterwards", "and at a third port"]


def test_what_a_sender_has_taken_on_outlives_its_kill(town: Town) -> None:
    seed, sender, recipient = town.overlay(3)
    taken = []
    for turn in range(2):
        if turn == 1:  # no receipt can come before the kill
            recipient.process.send_signal(signal.SIGSTOP)
        done = sender("send", recipient.id, f"turn {turn}", "--wait", "0", "--json")
        sender.kill()
        taken.append(done.json["id"])
        recipient.process.send_signal(signal.SIGCONT)
        sender = town.start(sender.data_dir, bootstrap=[seed.host_port])
        assert set(taken) <= {*ids(outbox(sender)), *ids(received(recipient))}
    until(lambda: outbox(sender) == [])
    assert ids(received(recipient)) == taken, "each once, in their order"


def test_what_was_reported_delivered_outlives_the_kill_of_its_recipient(town: Town) -> None:
    seed, sender, recipient = town.overlay(3)
    said = [f"line {number}" for number in range(50)]
    with going(sender, "chat", recipient.id, "--json") as chat:
        chat.type(*said)
        delivered = {report["id"] for report in reports(chat, 10) if report["state"] == "delivered"}
        assert len(delivered) == 10
        recipient.kill()
        recipient = town.start(recipient.data_dir, listen=recipient.host_port, bootstrap=[seed.host_port])
        assert delivered <= set(ids(received(recipient)))
        assert len(reports(chat, 40)) == 40
        done, left = chat.end()
        assert (done.code, left, done.err) == (0, [], "")
    until(lambda: outbox(sender) == [])
    assert texts(recipient) == said, "each once, in their order"


def test_messages_go_on_without_the_bootstrap_node(town: Town) -> None:
    seed, anna, bert, carl = town.overlay(4)
    assert anna("send", bert.id, "with it").code == 0
    seed.kill()
    for sender, recipient in ((anna, bert), (bert, carl), (carl, anna), (bert, anna)):
        assert sender("send", recipient.id, "without it").code == 0
    assert texts(anna) == ["without it", "without it"]
    assert texts(bert) == ["with it", "without it"]
    assert texts(carl) == ["without it"]


class Pair:
    """Two nodes that write to each other, and what must come of it whoever is killed meanwhile."""

    def __init__(self, town: Town, rng: random.Random) -> None:
        self.seed, *self.nodes = town.overlay(3)
        self.typed: list[set[str]] = [set(), set()]  # to each of the two
        self.taken: list[set[str]] = [set(), set()]  # what must arrive
        self.delivered: list[set[str]] = [set(), set()]  # what has
        self._town = town
        self._rng = rng

    def turn(self, number: int) -> None:
        """One of them writes, and before all is told some nodes are killed and started again."""
        to = number % 2
        sender, recipient = self.nodes[1 - to], self.nodes[to]
        with going(sender, "chat", recipient.id, "--json") as chat:
            lines = [f"{number}.{line}" for line in range(LINES)]
            self.typed[to].update(lines)
            chat.type(*lines)
            for report in reports(chat, self._rng.randrange(LINES)):
                self.taken[to].add(report["id"])
                if report["state"] == "delivered":
                    self.delivered[to].add(report["id"])
            victims = self._rng.choice(([sender], [recipient], [sender, recipient], [recipient, sender], [self.seed]))
            for victim in victims:
                victim.kill()
        for victim in victims:
            self._start_again(victim)
        self.taken[to] |= set(ids(outbox(self.nodes[1 - to])))
        if recipient in victims:
            assert self.delivered[to] <= set(ids(received(self.nodes[to])))

    def _start_again(self, victim: Running) -> None:
        if victim is self.seed:
            self.seed = self._town.start(victim.data_dir, listen=victim.host_port)
            return
        listen = self._rng.choice((victim.host_port, "127.0.0.1:0"))
        again = self._town.start(victim.data_dir, listen=listen, bootstrap=[self.seed.host_port])
        self.nodes[self.nodes.index(victim)] = again


def test_whoever_is_killed_whenever_each_message_arrives_once(town: Town) -> None:
    number = int(os.environ.get("KILL_SEED", random.randrange(2**32)))
    print(f"the same again: KILL_SEED={number}")
    pair = Pair(town, random.Random(number))
    for turn in range(ROUNDS):
        pair.turn(turn)
    for to, node in enumerate(pair.nodes):
        sender = pair.nodes[1 - to]
        until(lambda sender=sender: outbox(sender) == [], 400)  # type: ignore[misc]  # bound, not late
        came = received(node)
        assert len(set(ids(came))) == len(came)
        assert pair.taken[to] <= set(ids(came)), "nothing that was taken on is lost"
        shown = [message["text"] for message in came]
        assert len(set(shown)) == len(shown), "nothing is shown twice"
        assert set(shown) <= pair.typed[to]
        assert len(shown) >= len(pair.taken[to]) > 0
