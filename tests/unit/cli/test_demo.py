from __future__ import annotations

import io
import json
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kadnet.cli import demo as demo_module
from kadnet.cli.demo_fleet import Fleet, FleetSettings, Member
from kadnet.cli.demo_screen import Screen, ring, table
from kadnet.cli.demo_story import Get, Piece, Round, condemned, copies_lost, fetch, judge, store
from kadnet.errors import KadnetError, NotConnected
from kadnet.identity import nodeid
from kadnet.identity.keys import Identity
from kadnet.shapes import Found, GetStats, Status, Stored, Value, encode_value
from tests.unit.cli.runner import typed

COPIES = 4


def took(**changes: object) -> GetStats:
    stats = GetStats("network", queries=4, hops=1, ms=2.0, datagrams_in=4, datagrams_out=5)
    return replace(stats, **changes)  # type: ignore[arg-type]  # the fields by name


def found(value: bytes | None = b"blue", stats: GetStats | None = None) -> Found:
    values = () if value is None else (Value(*encode_value(value), None, None, None),)
    return Found("color", values, stats if stats is not None else took())


@dataclass
class Pretended:
    """A client of one node in `Overlay`."""

    overlay: Overlay
    number: int

    def status(self) -> Status:
        records = sum(self.number in holders for holders in self.overlay.holders.values())
        return Status("", "", "", 0.0, 9, 0, records, 0, True, True, COPIES, "public", (), (), {})

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


@dataclass
class Overlay:
    """An overlay that is a dictionary."""

    alive: set[int] = field(default_factory=set)
    values: dict[str, bytes] = field(default_factory=dict)
    holders: dict[str, set[int]] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)


class PretendedFleet:
    """What `demo` needs of a fleet, without processes."""

    overlay = Overlay()
    raises: type[BaseException] | None = None

    def __init__(self, copies: int) -> None:
        assert copies == COPIES
        type(self).overlay = Overlay()
        self.members: list[Member] = []
        self.alive: list[Member] = []
        self.ended = False

    def __enter__(self) -> PretendedFleet:
        return self

    def __exit__(self, *_what: object) -> None:
        self.ended = True

    def start(self, count: int) -> Iterator[Member]:
        for number in range(count):
            client = Pretended(self.overlay, number)
            id = nodeid.encode(Identity.from_seed(bytes([number]) * 32).public)
            member = Member(number, id, f"127.0.0.1:{number}", client)  # type: ignore[arg-type]  # has its verbs
            self.overlay.alive.add(number)
            self.members.append(member)
            self.alive.append(member)
            yield member

    def wait_joined(self) -> None:
        if self.raises is not None:
            raise self.raises

    def kill(self, member: Member) -> None:
        self.alive.remove(member)
        self.overlay.alive.remove(member.number)

    def each(self, ask: Callable[[Pretended], int]) -> dict[int, int]:
        return {member.number: ask(member.client) for member in self.alive}  # type: ignore[arg-type]  # see start


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


# ------------------------------------------------------------------------------------------------------- the drawing


def test_the_ring_shows_every_node_once_and_who_holds_and_who_is_dead() -> None:
    for count in range(10, 41):
        order = list(range(count))
        drawn = "\n".join(ring(order, holders={1, 2}, killed={2, 3}, inside=["who holds", "color"]))
        cells = drawn.replace("x", " ").replace("[", " ").replace("]", " ").split()
        assert sorted(int(cell) for cell in cells if cell.isdigit()) == order
        assert "[01]" in drawn
        assert "x02x" in drawn
        assert "x03x" in drawn
        assert "who holds" in drawn
        assert max(map(len, drawn.splitlines())) <= 80


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_on(stream: io.StringIO) -> str:
    screen = Screen(stream)
    screen.phase("Find", "Each is asked for.")
    screen.progress(1, 2, "records looked up")
    screen.result("all found")
    screen.lines(ring(range(10), {1}, {2}, ["color"]))
    return stream.getvalue()


def test_colours_and_the_live_line_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = shown_on(io.StringIO())
    assert "\x1b" not in plain
    assert "\r" not in plain
    assert "1 of 2" not in plain
    live = shown_on(Terminal())
    assert "1 of 2 records looked up\x1b[K" in live
    assert "\x1b[31mx02x\x1b[0m" in live
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown_on(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert shown_on(Terminal()) == plain


def test_text_of_others_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    Screen(stream).result("miss: \x1b[2J")
    assert "\x1b" not in stream.getvalue()


# ------------------------------------------------------------------------------------------------------- the command


def test_the_demo_ends_well_when_all_is_found(fleet: type[PretendedFleet]) -> None:
    done = typed("demo", "--nodes", "12", "--records", "9")
    assert done.exit_code == 0, done.output
    assert "9 of 9 found" in done.stdout
    assert "Every record was found, also with 3 of 12 nodes dead." in done.stdout
    for opening in ("1. Start and join", "2. Store", "3. Find", "4. Kill", "5. Find again", "6. What was done"):
        assert opening in done.stdout
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


def test_json_is_alone_on_stdout_and_the_story_on_stderr(fleet: type[PretendedFleet]) -> None:
    done = typed("demo", "--nodes", "12", "--records", "6", "--kill", "0", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["before"]["from_network"] == said["before"]["gets"] == 6
    assert said["before"]["datagrams_out"] == {"median": 5, "most": 5}
    assert said["after"] is None
    assert said["misses"] == []
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


# --------------------------------------------------------------------------------------------------------- the fleet


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the fleet makes its own; pytest's folders have names too long for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="kadnet-test-") as made:
        monkeypatch.setattr("tempfile.tempdir", made)
        yield Path(made)


def stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shell script take the place of python in `python -m kadnet --data-dir DIR run ...`."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(program))


READY = "trap 'exit 0' TERM; echo ready kadnet://{id}@127.0.0.1:7420; while :; do sleep 0.01; done"
ID = nodeid.encode(Identity.from_seed(bytes(32)).public)


def test_a_fleet_leaves_no_process_and_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(folder, READY.format(id=ID), monkeypatch)
    with Fleet(COPIES) as fleet:
        members = list(fleet.start(3))
        assert sorted(member.number for member in members) == [0, 1, 2]
        assert members[0].id == ID
        assert members[0].host_port == "127.0.0.1:7420"
        config = members[0].client.data_dir / "config.toml"
        assert config.read_text() == "[overlay]\nreplicas = 4\n"
        fleet.kill(members[0])
        assert [member.number for member in fleet.alive] == [member.number for member in members[1:]]
        pids = [process.pid for process in fleet._processes.values()]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert [path.name for path in folder.iterdir()] == ["python"]


def test_a_node_that_will_not_end_is_made_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(folder, READY.format(id=ID).replace("exit 0", ":"), monkeypatch)
    with Fleet(COPIES, FleetSettings(stop_within=0.05)) as fleet:
        list(fleet.start(1))
        (process,) = fleet._processes.values()
    assert process.returncode == -signal.SIGKILL


def test_a_node_that_is_never_ready_is_not_waited_for_longer_than_that(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(folder, READY.format(id=ID).replace("echo ready", ": ready"), monkeypatch)
    with pytest.raises(KadnetError, match=r"node 0 was not ready in 0\.05 s"):
        with Fleet(COPIES, FleetSettings(start_within=0.05)) as fleet:
            list(fleet.start(1))
    assert [path.name for path in folder.iterdir()] == ["python"]


def test_a_node_that_does_not_start_ends_the_demo_with_what_it_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(folder, "echo 'kadnet: the disk is full' >&2; exit 1", monkeypatch)
    with pytest.raises(KadnetError, match="node 0 did not start") as caught, Fleet(COPIES) as fleet:
        list(fleet.start(3))
    assert caught.value.hint == "it said: kadnet: the disk is full"
    assert [path.name for path in folder.iterdir()] == ["python"]
