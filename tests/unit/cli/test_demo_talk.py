from __future__ import annotations

from collections.abc import Sequence

import pytest

from kadnet.cli.demo_fleet import Member
from kadnet.cli.demo_story import around
from kadnet.cli.demo_talk import AT_ONCE, BOTH_DIED, CAME_BACK, Letter, Talk, TalkSettings, far_apart, judge
from kadnet.errors import InputError
from kadnet.shapes import Message, Sent
from tests.unit.cli.demo_fake import Pretended, PretendedFleet, id_of

IMPATIENT = TalkSettings(patience=1.0, page=1.0)
IDS = {id_of(5): 5, id_of(14): 14}


def two(fleet: PretendedFleet) -> tuple[Member, Member]:
    members = list(fleet.start(15))
    return members[5], members[14]


def letter(text: str, sender: int = 5, to: int = 14, **changes: object) -> Letter:
    made = Letter(sender, to, text, AT_ONCE, arrived=0.1, receipt=0.2, settled=True)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def inbox(*texts: str, sender: str = id_of(5)) -> list[Message]:
    return [Message(number, f"{number:032x}", sender, text, 0, 0) for number, text in enumerate(texts, start=1)]


# ---------------------------------------------------------------------------------------------------------- the story


def test_both_write_and_each_letter_is_told_when_it_arrived_and_when_it_is_delivered() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    talk = Talk(now=fleet.overlay.clock)
    told = [(each.sender, each.to, each.settled) for each in talk.both_ways(one, other, 2)]
    assert told == [(5, 14, False), (5, 14, True), (14, 5, False), (14, 5, True)] * 2
    assert [each.text for each in talk.letters] == [
        "hello 14, this is 05", "hello 05, this is 14", "line 2 from 05", "line 2 from 14",
    ]  # fmt: skip
    assert all(each.delivered for each in talk.of(AT_ONCE))
    figures = talk.receipts()
    assert figures is not None
    assert 0 < figures[0] <= figures[1]
    talk.verify([one, other])
    assert talk.misses == []


def test_what_is_left_for_the_dead_comes_after_their_return_in_order_and_once() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    talk = Talk(now=fleet.overlay.clock)
    fleet.kill(other)
    letters = list(talk.leave(one, other, 3, CAME_BACK))
    assert [each.problem for each in letters] == [None] * 3
    waiting = talk.tried(one, letters)
    assert [outgoing.text for outgoing in waiting] == [f"you were away, {turn} of 3" for turn in (1, 2, 3)]
    other = fleet.revive(other)
    told = [(each.text, each.settled) for each in talk.collect(one, other, letters, talk.now())]
    assert told == [(each.text, settled) for each in letters for settled in (False, True)]
    talk.verify([one, other])
    assert talk.misses == []
    figures = talk.returns()
    assert figures is not None
    assert 0 < figures[0] <= figures[1]


def test_the_outbox_is_shown_once_the_first_try_has_failed() -> None:
    class Slow(Pretended):
        looks = 0

        def delivery(self, id: str, *, wait: float = 10.0) -> Sent:
            self.looks += 1
            return Sent(id, "queued", "connection refused" if self.looks > 4 else None)

    fleet = PretendedFleet()
    one, other = two(fleet)
    fleet.kill(other)
    client = Slow(fleet.overlay, 5)
    slow = Member(5, one.id, one.host_port, client)  # type: ignore[arg-type]  # has its verbs
    talk = Talk(now=fleet.overlay.clock)
    letters = list(talk.leave(slow, other, 1, CAME_BACK))
    client.looks = 0
    assert len(talk.tried(slow, letters)) == 1
    assert client.looks == 5
    client.looks = -(10**9)
    assert len(Talk(IMPATIENT, fleet.overlay.clock).tried(slow, letters)) == 1, "not for ever"


def test_a_message_that_never_comes_is_a_miss_and_the_next_ones_are_written() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    fleet.overlay.lost.add("line 2 from 14")
    talk = Talk(IMPATIENT, fleet.overlay.clock)
    delivered = [each.delivered for each in talk.both_ways(one, other, 3) if each.settled]
    assert delivered == [True, True, True, False, True, True]
    talk.verify([one, other])
    assert talk.misses == ["the outbox of 14 still holds 1", '14 → 05  "line 2 from 14": connection refused']


def test_a_message_that_does_not_come_after_the_return_is_waited_for_and_a_miss() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    fleet.kill(other)
    fleet.overlay.lost.add("from my disk, 1 of 2")
    talk = Talk(IMPATIENT, fleet.overlay.clock)
    letters = list(talk.leave(one, other, 2, BOTH_DIED))
    other = fleet.revive(other)
    list(talk.collect(one, other, letters, talk.now()))
    assert [each.delivered for each in letters] == [False, True]
    talk.verify([one, other])
    assert '05 → 14  "from my disk, 1 of 2": did not arrive in time' in talk.misses


def test_without_a_receipt_nothing_is_delivered() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    fleet.kill(other)
    fleet.overlay.deaf.add(14)
    talk = Talk(IMPATIENT, fleet.overlay.clock)
    letters = list(talk.leave(one, other, 1, CAME_BACK))
    other = fleet.revive(other)
    list(talk.collect(one, other, letters, talk.now()))
    talk.verify([one, other])
    assert talk.misses == [
        "the outbox of 05 still holds 1",
        '05 → 14  "you were away, 1 of 1": arrived, but no receipt came back',
    ]


def test_a_receipt_of_a_dead_node_is_a_miss() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    talk = Talk(now=fleet.overlay.clock)
    (never_dead,) = talk.leave(one, other, 1, CAME_BACK)
    assert never_dead.problem == "a receipt came from a dead node"
    list(talk.collect(one, other, [never_dead], talk.now()))
    talk.verify([one, other])
    assert talk.misses == ['05 → 14  "you were away, 1 of 1": a receipt came from a dead node']


def test_a_message_that_is_refused_is_a_miss_and_no_end() -> None:
    class Full(Pretended):
        def send(self, who: str, text: str, *, wait: float = 10.0) -> Sent:
            raise InputError("the outbox is full")

    fleet = PretendedFleet()
    one, other = two(fleet)
    full = Member(5, one.id, one.host_port, Full(fleet.overlay, 5))  # type: ignore[arg-type]  # has its verbs
    talk = Talk(IMPATIENT, fleet.overlay.clock)
    list(talk.both_ways(full, other, 1))
    letters = list(talk.leave(full, other, 1, CAME_BACK))
    list(talk.collect(full, other, letters, talk.now()))
    talk.verify([full, other])
    assert [miss.partition(": ")[2] for miss in talk.misses] == ["the outbox is full"] * 2


def test_a_node_that_is_gone_is_not_listened_to() -> None:
    fleet = PretendedFleet()
    one, other = two(fleet)
    fleet.kill(other)
    talk = Talk(now=fleet.overlay.clock)
    letters = list(talk.leave(one, other, 1, CAME_BACK))
    began = talk.now()
    list(talk.collect(one, other, letters, began))
    assert talk.now() - began < 1
    assert letters[0].arrived is None


def test_the_two_who_talk_lie_on_opposite_sides_of_the_ring() -> None:
    members = list(PretendedFleet().start(16))
    one, other = far_apart(members)
    order = [member.number for member in around(members)]
    assert one is members[0]
    assert (order.index(other.number) - order.index(one.number)) % 16 == 8


# ------------------------------------------------------------------------------------------------------- the judging

WRITTEN = [letter("a"), letter("b"), letter("c"), letter("a", sender=14, to=5)]


@pytest.mark.parametrize(
    ("came", "misses", "twice"),
    [
        (["a", "b", "c"], [], 0),
        (["a", "b", "b", "c"], ['05 → 14 "b" came 2 times'], 1),
        (["a", "b", "c", "a", "a"], ['05 → 14 "a" came 3 times'], 1),
        (["a", "c"], ['05 → 14  "b" is not in the inbox'], 0),
        (["b", "a", "c"], ["what 05 wrote to 14 came in another order"], 0),
        (["a", "b", "c", "x"], ['14 holds "x", which nobody wrote to it'], 0),
    ],
)
def test_every_letter_has_to_come_once_and_in_order_and_nothing_besides(
    came: Sequence[str], misses: list[str], twice: int
) -> None:
    verdict = judge(WRITTEN, IDS, {14: inbox(*came), 5: inbox("a", sender=id_of(14))})
    assert list(verdict.misses) == misses
    assert verdict.twice == twice


def test_what_somebody_else_wrote_is_a_miss_also_with_the_same_text() -> None:
    other = inbox("a", sender=id_of(7))
    verdict = judge([letter("a")], IDS, {14: inbox("a") + other, 5: []})
    assert verdict.misses == ('14 holds "a", which nobody wrote to it',)


def test_the_letters_of_two_senders_may_come_in_any_order() -> None:
    written = [letter("a", sender=5, to=3), letter("b", sender=14, to=3)]
    came = inbox("b", sender=id_of(14)) + inbox("a")
    assert judge(written, IDS, {3: came}).misses == ()
