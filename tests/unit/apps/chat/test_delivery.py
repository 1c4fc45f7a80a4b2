"""When messages are tried, and what is tried: pauses, signs of life, order, turns, restarts."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.apps.chat import ChatSettings
from kadnet.errors import StorageFailed
from kadnet.events import ContactAdded, Event, Joined, LinkDown, LinkUp, PeerBack
from kadnet.identity.address import Address
from kadnet.storage import Database
from tests.unit.apps.fakes import Person, Wire, open_chat
from tests.unit.overlay.bench import on_virtual_time
from tests.unit.overlay.builders import identity

EXACT = ChatSettings(jitter=0)
BOB = identity("bob").public


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@on_virtual_time
async def test_an_undelivered_message_is_tried_again_after_1_2_4_8_16_30_and_30_seconds() -> None:
    wire = Wire()
    async with open_chat(wire, "alice", settings=EXACT) as alice:
        await alice.chat.send(BOB, "hello")
        await trio.sleep(130)
        assert gaps(wire.times("nobody")) == [1, 2, 4, 8, 16, 30, 30, 30]
        assert alice.chat.outbox()[0].attempts == 9


@on_virtual_time
async def test_pauses_are_off_by_a_tenth_at_most_and_not_the_same_for_two_senders() -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "carol") as carol:
        for person in (alice, carol):
            await person.chat.send(BOB, "hello")
        await trio.sleep(100)
        mine = [gaps([one.at for one in wire.sent if one.sender == name]) for name in ("alice", "carol")]
        for times in mine:
            for pause, expected in zip(times, (1, 2, 4, 8, 16, 30, 30), strict=False):
                assert expected * 0.9 <= pause <= expected * 1.1
        assert not set(mine[0]) & set(mine[1])


async def tired(wire: Wire, alice: Person, bob: Person) -> None:
    """Send to bob in vain until the pause is of 30 seconds, the next try is at 91, and bob is there again at 71."""
    wire.unreachable.add("bob")
    await alice.chat.send(bob.id, "hello")
    await trio.sleep(71)
    assert wire.times("bob")[-1] == 61
    wire.unreachable.clear()


@pytest.mark.parametrize(
    "event",
    [
        ContactAdded(71.0, BOB, "192.0.2.1:7420"),
        PeerBack(71.0, BOB),
        LinkUp(71.0, BOB, dialed=True),
        LinkUp(71.0, BOB, dialed=False),
    ],
)
def test_the_message_goes_out_at_once_when_its_reader_is_heard(event: Event) -> None:
    @on_virtual_time
    async def play() -> None:
        wire = Wire()
        async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
            await tired(wire, alice, bob)
            assert bob.texts() == []
            alice.host.publish(event)
            await trio.sleep(0.001)
            assert bob.texts() == ["hello"]
            assert wire.times("bob")[-1] == 71

    play()


@on_virtual_time
async def test_signs_of_life_of_others_and_ends_of_links_are_none() -> None:
    wire = Wire()
    async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
        await tired(wire, alice, bob)
        for event in (
            LinkUp(71.0, alice.id, dialed=False),
            LinkDown(71.0, BOB, "closed"),
            Joined(71.0, 3),
        ):
            alice.host.publish(event)
        await trio.sleep(1)
        assert bob.texts() == []


@pytest.mark.parametrize("refused", [False, True])
def test_who_cannot_be_reached_is_watched_for_and_who_refuses_is_not(refused: bool) -> None:
    @on_virtual_time
    async def play() -> None:
        wire = Wire(refused={"bob": "full"}) if refused else Wire(unreachable={"bob"})
        async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
            await alice.chat.send(bob.id, "hello")
            await trio.sleep(5)
            tries = len(wire.times("bob"))
            assert tries > 1
            assert alice.host.watched == ([] if refused else [bob.id] * tries)

    play()


@on_virtual_time
async def test_the_message_goes_out_at_once_when_its_reader_writes() -> None:
    wire = Wire()
    async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
        await tired(wire, alice, bob)
        await bob.chat.send(alice.id, "are you there?")
        await trio.sleep(0.001)
        assert bob.texts() == ["hello"]


@on_virtual_time
async def test_one_who_is_heard_all_the_time_is_tried_once_a_second() -> None:
    wire = Wire(unreachable={"bob"})
    async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
        await alice.chat.send(bob.id, "hello")
        await trio.sleep(70)
        before = len(wire.times("bob"))
        for _ in range(100):
            alice.host.publish(ContactAdded(trio.current_time(), bob.id, "192.0.2.1:7420"))
            await trio.sleep(0.1)
        assert 9 <= len(wire.times("bob")) - before <= 11


@on_virtual_time
async def test_one_who_answers_every_call_and_refuses_every_message_is_left_in_peace() -> None:
    wire = Wire(refused={"bob": "full"}, delay=0.1)
    async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:

        async def each_call_is_answered() -> None:
            seen = 0
            while True:
                await trio.sleep(0.05)
                if len(wire.sent) > seen:
                    seen = len(wire.sent)
                    alice.host.publish(LinkUp(trio.current_time(), bob.id, dialed=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(each_call_is_answered)
            await alice.chat.send(bob.id, "hello")
            await trio.sleep(60)
            nursery.cancel_scope.cancel()
        assert len(wire.times("bob")) <= 6


@on_virtual_time
async def test_messages_to_one_reader_go_out_one_after_the_other_in_their_order() -> None:
    wire = Wire(unreachable={"bob"}, delay=0.1)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        texts = [f"message {number}" for number in range(100)]
        for text in texts:
            await alice.chat.post(bob.id, text)
        await trio.sleep(5)
        wire.unreachable.clear()
        wire.most_under_way = 0
        await trio.sleep(100)
        assert bob.texts() == texts
        assert wire.most_under_way == 1


@on_virtual_time
async def test_an_attempt_stops_at_the_first_message_that_cannot_be_delivered() -> None:
    wire = Wire(unreachable={"bob"}, delay=0.1)
    async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
        for number in range(10):
            await alice.chat.post(bob.id, str(number))
        await trio.sleep(0.5)
        assert len(wire.times("bob")) == 1
        outbox = alice.chat.outbox()
        assert [(one.attempts, one.problem) for one in outbox] == [(1, "bob was not found")] + [
            (0, "bob was not found")
        ] * 9
        assert len({one.next_at for one in outbox}) == 1


@on_virtual_time
async def test_a_message_its_reader_finds_fault_with_holds_up_no_other() -> None:
    wire = Wire()
    async with open_chat(wire, "alice", settings=EXACT) as alice:
        async with open_chat(wire, "bob", settings=ChatSettings(max_text=10)) as bob:
            long = await alice.chat.send(bob.id, "a text that is too long")
            assert long.problem == "refused (text-size): the text is too long for it"
            longer = await alice.chat.send(bob.id, "a" * 100)
            assert longer.problem == "refused (too-large): the text is too long for it"
            assert (await alice.chat.send(bob.id, "short")).state == "delivered"
            assert (bob.texts(), alice.waiting()) == (["short"], ["a text that is too long", "a" * 100])
            before = len(wire.times("bob"))
            await trio.sleep(100)
            assert len(wire.times("bob")) - before <= 2 * 6  # they are tried with pauses themselves
        async with open_chat(wire, "bob") as bob:
            await alice.chat.delivered(longer.id)
            assert bob.texts() == ["a text that is too long", "a" * 100]


@on_virtual_time
async def test_what_its_reader_finds_fault_with_is_not_sent_again_with_each_new_message() -> None:
    wire = Wire()
    async with open_chat(wire, "alice", settings=EXACT) as alice:
        async with open_chat(wire, "bob", settings=ChatSettings(max_text=10)) as bob:
            for number in range(20):
                await alice.chat.send(bob.id, f"a text that is too long {number}")
            assert len(wire.times("bob")) == 20, "each once, although all of them wait"
            await trio.sleep(24 * 3600)
            assert len(wire.times("bob")) <= 20 * (1 + 7 + 24), "then after 30 s, a minute, two … and every hour"


@on_virtual_time
async def test_a_message_that_joins_an_attempt_under_way_goes_with_it() -> None:
    wire = Wire(delay=1.0)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.chat.send, bob.id, "one")
            await trio.sleep(0.5)
            assert (await alice.chat.send(bob.id, "two")).state == "delivered"
        assert wire.times("bob") == [0, 2]


@on_virtual_time
async def test_those_who_join_an_attempt_that_fails_hear_of_it() -> None:
    wire = Wire(delay=1.0, unreachable={"bob"})
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        heard: list[tuple[str | None, float]] = []

        async def send(text: str) -> None:
            receipt = await alice.chat.send(bob.id, text)
            heard.append((receipt.problem, trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "one")
            await trio.sleep(0.5)
            nursery.start_soon(send, "two")
        assert heard == [("bob was not found", 1.0)] * 2


@on_virtual_time
async def test_a_reader_who_never_answers_is_waited_for_with_patience_and_tried_again() -> None:
    wire = Wire(silent={"bob"})
    settings = ChatSettings(jitter=0, patience=20)
    async with open_chat(wire, "alice", settings=settings) as alice, open_chat(wire, "bob") as bob:
        receipt = await alice.chat.send(bob.id, "hello")
        assert (receipt.problem, trio.current_time()) == ("no answer within 20 s", 20.0)
        await trio.sleep(100)
        assert wire.times("bob") == [0, 21, 43, 67, 95]


@on_virtual_time
async def test_no_more_than_so_many_readers_are_tried_at_once_and_none_is_forgotten() -> None:
    wire = Wire(delay=1.0)
    settings = ChatSettings(at_once=3, jitter=0)
    gone = [identity(f"gone {number}").public for number in range(10)]
    async with open_chat(wire, "alice", settings=settings) as alice, open_chat(wire, "bob") as bob:
        for id in gone:
            await alice.chat.post(id, "hello")
        receipt = await alice.chat.send(bob.id, "hello")
        assert receipt.state == "delivered"
        assert trio.current_time() <= 8
        assert wire.most_under_way == 3
        await trio.sleep(20)
        assert {one.who for one in wire.sent} >= set(gone)


@on_virtual_time
async def test_who_has_many_messages_lets_others_have_their_turn() -> None:
    wire = Wire(delay=0.01)
    settings = ChatSettings(at_once=1, batch=10, page=4)
    async with open_chat(wire, "alice", settings=settings) as alice, open_chat(wire, "bob") as bob:
        async with open_chat(wire, "carol") as carol:
            for number in range(50):
                await alice.chat.post(bob.id, str(number))
            assert (await alice.chat.send(carol.id, "hello")).state == "delivered"
            assert [one.recipient for one in wire.sent] == ["bob"] * 10 + ["carol"]
            await trio.sleep(40)
            assert bob.texts() == [str(number) for number in range(50)]
            assert alice.waiting() == []


@on_virtual_time
async def test_where_a_reader_is_said_to_be_is_tried_first() -> None:
    wire = Wire()
    at = Address(None, "192.0.2.7", 7420)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        await alice.chat.send(bob.id, "by its id")
        await alice.chat.send(bob.id, "by an address", address=at)
        await alice.chat.book.add("bob", bob.id, Address(bob.id, "192.0.2.8", 7420))
        await alice.chat.send(bob.id, "by the book")
        await alice.chat.send(bob.id, "by an address", address=at)
        assert [one.who for one in wire.sent] == [
            bob.id,
            Address(bob.id, "192.0.2.7", 7420),
            Address(bob.id, "192.0.2.8", 7420),
            Address(bob.id, "192.0.2.7", 7420),
        ]


@on_virtual_time
async def test_an_address_is_still_known_after_a_restart_unless_the_disk_has_changed_it(tmp_path: Path) -> None:
    wire = Wire()
    at = Address(BOB, "192.0.2.7", 7420)
    async with open_chat(wire, "alice", folder=tmp_path) as alice:
        await alice.chat.send(BOB, "hello", address=at)
    async with open_chat(wire, "alice", folder=tmp_path) as alice:
        await trio.sleep(1.1)
        before = len(wire.sent)
        assert alice.host.opened is not None
        alice.host.opened._writer.execute("UPDATE outbox SET address = 'nowhere'")
        await trio.sleep(20)
        assert {one.who for one in wire.sent[:before]} == {at}
        assert {one.who for one in wire.sent[before:]} == {BOB}


@on_virtual_time
async def test_what_waited_before_a_restart_is_tried_within_a_second_of_it(tmp_path: Path) -> None:
    wire = Wire()
    others = [identity(f"gone {number}").public for number in range(20)]
    async with open_chat(wire, "alice", folder=tmp_path) as alice:
        for id in (BOB, *others):
            await alice.chat.post(id, "hello")
        await trio.sleep(300)
    wire.sent.clear()
    start = trio.current_time()
    async with open_chat(wire, "bob") as bob, open_chat(wire, "alice", folder=tmp_path) as alice:
        (receipt,) = {one.id for one in alice.chat.outbox() if one.recipient == BOB}
        await alice.chat.delivered(receipt)
        await trio.sleep(0.999 - (trio.current_time() - start))
        assert {one.who for one in wire.sent} == {BOB, *others}
        assert len({one.at for one in wire.sent}) > 10  # spread
        assert bob.texts() == ["hello"]


@on_virtual_time
async def test_a_disk_that_cannot_be_read_costs_a_pause_and_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(unreachable={"bob"})
    async with open_chat(wire, "alice", settings=EXACT) as alice, open_chat(wire, "bob") as bob:
        await alice.chat.send(bob.id, "hello")

        def fail(database: Database, sql: str, parameters: object = ()) -> list[object]:
            raise StorageFailed("chat.db cannot be read")

        with monkeypatch.context() as patch:
            patch.setattr(Database, "read", fail)
            await trio.sleep(20)
        assert alice.host.reasons["storage-failed"] == 4
        wire.unreachable.clear()
        await trio.sleep(30)
        assert bob.texts() == ["hello"]


@on_virtual_time
async def test_what_is_counted_adds_up() -> None:
    wire = Wire(answers_lost=2)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        for number in range(5):
            await alice.chat.post(bob.id, str(number))
        await trio.sleep(60)
        assert alice.host.reasons == {"queued": 5, "failed": 2, "delivered": 5}
        assert bob.host.reasons == {"received": 5, "repeated": 2}
        assert alice.chat._open.delivery._untried == {}
