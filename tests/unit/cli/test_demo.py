from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from kadnet.cli import demo as demo_module
from kadnet.cli.demo_fleet import Member
from kadnet.cli.demo_screen import table
from kadnet.cli.demo_story import Get, Piece, Round, around, condemned, copies_lost, fetch, judge, store
from kadnet.errors import KadnetError, NoNode, NotConnected
from kadnet.identity import nodeid
from kadnet.kademlia.keyspace import position
from kadnet.shapes import Found
from tests.unit.cli.demo_fake import COPIES, Overlay, Pretended, PretendedFleet, found, took
from tests.unit.cli.runner import typed


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> type[PretendedFleet]:
    monkeypatch.setattr(demo_module, "Fleet", PretendedFleet)
    monkeypatch.setattr(PretendedFleet, "raises", None)
    return PretendedFleet


# -------------------------------------------------------------------------------------------------------- the story


def piece(key: str = "color", holders: Sequence[int] = (1, 2, 3, 4), publisher: int = 0) -> Piece:
    return Piece(key, "shared", b"blue", publisher, frozenset(holders), len(holders))


@pytest.mark.parametrize(
    ("answer", "miss"),
    [
        (found(), None),
        (found(b"red"), "wrong value"),
        (found(None), "not found"),
        (found(stats=took(answered_by="self")), "answered from the asker's own store"),
        (found(stats=took(datagrams_in=0)), "answered from the asker's own store"),
        (Found("color", found().values, None), "answered from the asker's own store"),
    ],
)
def test_only_the_right_value_from_the_network_is_no_miss(answer: Found, miss: str | None) -> None:
    assert judge(piece(), answer) == miss


def test_the_nodes_that_hold_one_more_after_a_put_are_its_holders() -> None:
    fleet = PretendedFleet(COPIES)
    members = list(fleet.start(12))

    def held() -> dict[int, int]:
        return fleet.each(lambda client: client.status().records)

    pieces = list(store(members, 9, held, held()))
    assert [p.holders for p in pieces] == [frozenset(fleet.overlay.holders[p.key]) for p in pieces]
    assert [p.publisher for p in pieces] == list(range(9))
    assert [p.kind for p in pieces[:3]] == ["shared", "owned", "blob"]
    assert len({p.value for p in pieces}) == 9


def test_nobody_is_asked_for_what_it_holds_or_has_published() -> None:
    fleet = PretendedFleet(COPIES)
    members = list(fleet.start(8))
    overlay = fleet.overlay
    pieces = [piece(f"key-{n}", [(n + step) % 8 for step in range(1, 5)], publisher=n % 8) for n in range(16)]
    overlay.values = {p.key: p.value for p in pieces}
    overlay.holders = {p.key: set(p.holders) for p in pieces}
    gets = list(fetch(pieces, members))
    assert [get.miss for get in gets] == [None] * 16
    for p, get in zip(pieces, gets, strict=True):
        assert get.asker not in p.holders
        assert get.asker != p.publisher
    assert len({get.asker for get in gets}) == 8, "the asking is spread over the nodes"


def test_where_everybody_holds_a_record_nobody_can_prove_anything() -> None:
    fleet = PretendedFleet(COPIES)
    members = list(fleet.start(5))
    (get,) = fetch([piece()], members)
    assert get.miss is not None
    assert not fleet.overlay.asked


def test_an_error_of_a_node_is_a_miss_and_no_end() -> None:
    class Lonely(Pretended):
        def get(self, key: str, *, stats: bool = False) -> Found:
            raise NotConnected("nobody could be asked")

    lonely = Member(7, "", "", Lonely(Overlay(), 7))  # type: ignore[arg-type]  # has its verbs
    (get,) = fetch([piece()], [lonely])
    assert get.miss == "nobody could be asked"


def test_the_first_node_and_the_fullest_are_killed() -> None:
    members = list(PretendedFleet(COPIES).start(6))
    pieces = [piece("a", [5, 2]), piece("b", [5, 2]), piece("c", [5, 1])]
    assert condemned(members, pieces, 3) == [0, 5, 2]
    assert copies_lost(pieces, [0, 5, 2]) == {2: 2, 1: 1}


def test_figures_are_of_good_gets_alone() -> None:
    done = Round(
        (
            Get("a", 1, None, took(ms=1.0)),
            Get("b", 1, None, took(ms=9.0, datagrams_out=7)),
            Get("c", 1, None, took(ms=2.0)),
            Get("d", 1, "not found", took(ms=500.0)),
        )
    )
    assert done.answered == 3
    assert done.figures()["ms"] == (2.0, 9.0)
    assert done.figures()["datagrams_out"] == (5, 7)
    shown = table(done, None)
    assert "3 of 4" in shown[1]
    assert "2.0 (9.0)" in shown[-1]


def test_nodes_stand_around_the_ring_in_the_order_of_their_places() -> None:
    members = list(PretendedFleet().start(9))
    places = [position(nodeid.decode(member.id)) for member in around(members)]
    assert places == sorted(places)
    assert len(set(places)) == 9


# ------------------------------------------------------------------------------------------------------- the command


def test_the_demo_ends_well_when_all_is_found(fleet: type[PretendedFleet]) -> None:
    done = typed("demo", "--nodes", "12", "--records", "9")
    assert done.exit_code == 0, done.output
    assert "9 of 9 found" in done.stdout
    assert "Every record was found, also with 3 of 12 nodes dead." in done.stdout
    assert "Every message came, once and in order." in done.stdout
    openings = (
        "1. Start and join", "2. Store", "3. Find", "4. Kill", "5. Find again", "6. Write to each other",
        "7. Write to a dead node", "8. Die with a full outbox", "9. What was done",
    )  # fmt: skip
    assert [line for line in done.stdout.splitlines() if line.startswith(tuple("123456789"))] == list(openings)
    assert 0 not in fleet.overlay.alive, "the node through which all joined is among the dead"
    assert len(fleet.overlay.alive) == 9
    assert len(fleet.overlay.asked) == 18


def test_one_miss_is_exit_code_1_and_is_named(fleet: type[PretendedFleet], monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: PretendedFleet) -> None:
        self.overlay.forgotten.add("color-4")

    monkeypatch.setattr(PretendedFleet, "wait_joined", forget)
    done = typed("demo", "--nodes", "12", "--records", "9")
    assert done.exit_code == 1
    assert "miss: color-4 asked of node" in done.stdout
    assert "8 of 9 found" in done.stdout
    assert "Every record was found" not in done.stdout


def test_one_message_that_comes_twice_is_exit_code_1_and_is_named(
    fleet: type[PretendedFleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stutter(self: PretendedFleet) -> None:
        self.overlay.doubled.add("you were away, 2 of 3")

    monkeypatch.setattr(PretendedFleet, "wait_joined", stutter)
    done = typed("demo", "--nodes", "12", "--records", "9")
    assert done.exit_code == 1
    assert '"you were away, 2 of 3" came 2 times' in done.stdout
    assert "Every record was found" in done.stdout
    assert "Every message came" not in done.stdout


def test_a_node_that_ends_by_itself_is_named_with_what_it_said(
    fleet: type[PretendedFleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: PretendedFleet) -> None:
        raise KadnetError("node 05 ended by itself, with 1", hint="it said: KeyError: 7")

    monkeypatch.setattr(fleet, "raises", NoNode("no node runs there"))
    monkeypatch.setattr(fleet, "check", gone)
    done = typed("demo")
    assert done.exit_code == 1
    assert "node 05 ended by itself, with 1; it said: KeyError: 7" in done.stderr


def test_json_is_alone_on_stdout_and_the_story_on_stderr(fleet: type[PretendedFleet]) -> None:
    done = typed("demo", "--nodes", "12", "--records", "6", "--kill", "0", "--messages", "2", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["before"]["from_network"] == said["before"]["gets"] == 6
    assert said["before"]["datagrams_out"] == {"median": 5, "most": 5}
    assert said["after"] is None
    assert said["misses"] == []
    talk = said["messages"]
    assert talk["sent"] == 8
    assert talk["delivered"] == {"at_once": 4, "after_return": 2, "after_death": 2}
    assert (talk["twice"], talk["misses"]) == (0, [])
    assert 0 < talk["receipt_ms"]["median"] <= talk["receipt_ms"]["most"]
    assert "Start and join" in done.stderr


def test_ctrl_c_is_130_and_says_that_nothing_is_left(
    fleet: type[PretendedFleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "raises", KeyboardInterrupt)
    done = typed("demo")
    assert done.exit_code == 130
    assert "nothing is left behind" in done.stderr


def test_more_kills_than_a_record_can_bear_are_refused() -> None:
    assert typed("demo", "--kill", "4").exit_code == 2
