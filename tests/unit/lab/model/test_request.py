"""Single requests between nodes of the model that know each other."""

from __future__ import annotations

from kadnet.kademlia.contact import Contact
from kadnet.lab.latency import Constant
from kadnet.lab.model.node import Node
from kadnet.lab.model.request import Call
from kadnet.lab.model.world import World
from kadnet.overlay.settings import Tuning

TUNING = Tuning()


class Two:
    """Two nodes, 50 ms apart, and what became of the requests of the first."""

    def __init__(self, loss: float = 0.0) -> None:
        self.world = World(1, Constant(0.05), loss)
        self.a, self.b = (Node(self.world, name, self.world.contact(n), TUNING) for n, name in enumerate("ab"))
        self.world.add(self.a)
        self.world.add(self.b)
        self.answers: list[tuple[float, list[Contact], bool]] = []
        self.failures: list[float] = []

    def ask(self, key: int | None = None, attempts: int = 1) -> Call:
        def answered(contacts: list[Contact], holds: bool, now: float) -> None:
            self.answers.append((now, contacts, holds))

        def failed() -> None:
            self.failures.append(self.world.engine.now)

        return self.a.ask(self.b.contact, key, answered, failed, attempts=attempts)


def test_an_answer_takes_a_round_trip_and_brings_the_asker_a_contact() -> None:
    two = Two()
    two.b.held.add(7)
    two.ask(7)
    two.world.engine.run_until(1.0)
    assert two.answers == [(0.1, [], True)]
    assert two.failures == []
    assert two.b.contact.id in two.a.table
    assert two.a.rtt.overall.srtt == 0.1


def test_who_asks_is_checked_and_becomes_a_contact() -> None:
    two = Two()
    two.ask()
    two.world.engine.run_until(1.0)
    assert two.a.contact.id in two.b.table


def test_a_lone_attempt_is_given_up_when_patience_ends() -> None:
    two = Two(loss=1.0)
    two.ask()
    two.world.engine.run_until(60.0)
    assert two.failures == [TUNING.rpc.patience]
    assert two.world.messages == 1


def test_a_request_with_more_attempts_is_repeated_after_ever_longer_waits() -> None:
    two = Two(loss=1.0)
    two.ask(attempts=3)
    sent: list[int] = []
    for tenth in range(60):
        two.world.engine.run_until(tenth / 10)
        sent.append(two.world.messages)
    wait = TUNING.rto.initial
    assert sent[int(10 * wait) + 1] == 2
    assert sent[int(10 * (wait + 2 * wait)) + 1] == 3
    assert two.failures == [wait + 2 * wait + 4 * wait]


def test_who_dies_while_a_request_is_on_its_way_does_not_answer_it() -> None:
    two = Two()
    two.ask()
    two.world.engine.run_until(0.04)
    two.world.kill(two.b)
    two.world.engine.run_until(60.0)
    assert two.answers == []
    assert two.failures == [TUNING.rpc.patience]


def test_who_is_dead_does_nothing_any_more() -> None:
    two = Two()
    two.ask()
    two.world.engine.run_until(0.07)
    two.world.kill(two.a)
    two.world.engine.run_until(60.0)
    assert two.answers == []
    assert two.failures == []


def test_a_late_answer_still_counts_when_the_request_was_repeated() -> None:
    two = Two()
    call = two.ask()
    two.world.engine.run_until(0.02)
    call.transmit()
    two.world.engine.run_until(60.0)
    assert [at for at, _, _ in two.answers] == [0.1]
    assert two.world.messages >= 2


def test_who_has_died_lets_go_of_all_that_it_knew() -> None:
    """A world with churn has many more dead than living; their tables would fill the memory."""
    two = Two()
    two.ask(7)
    two.world.engine.run_until(0.5)
    two.b.held.add(7)
    two.world.kill(two.b)
    assert not hasattr(two.b, "table")
    assert not two.b.held
    two.ask(7, attempts=3)
    two.world.engine.run_until(60.0)
    assert len(two.failures) == 1
