from __future__ import annotations

import os
import signal
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kadnet.cli.demo_fleet import Fleet, FleetSettings
from kadnet.client import Client
from kadnet.errors import KadnetError
from kadnet.shapes import Status
from tests.unit.cli.demo_fake import COPIES, id_of

ID = id_of(0)


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


def started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that writes down how it was called, and gets a new port each time."""
    script = 'echo "$@" >>"$4/calls"; port=$((7000 + $(wc -l <"$4/calls")))\n' + READY.format(id=ID)
    stand_in(folder, script.replace(":7420", ":$port"), monkeypatch)


def test_a_killed_node_starts_again_as_it_did_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(folder, monkeypatch)
    with Fleet(COPIES) as fleet:
        first, second = fleet.start(2)
        fleet.check()
        fleet.kill(second)
        assert fleet.alive == [first]
        again = fleet.revive(second)
        assert (again.number, again.id, again.client) == (second.number, second.id, again.client)
        assert again.host_port != second.host_port
        assert fleet.members == fleet.alive == [first, again]
        called = (again.client.data_dir / "calls").read_text().splitlines()
        assert len(called) == 2
        assert called[0] == called[1]
        assert called[1].endswith(f"--bootstrap {first.host_port}")
        pid = fleet._processes[1].pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_node_that_ends_by_itself_is_named_with_what_it_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(folder, f"echo ready kadnet://{ID}@127.0.0.1:7420; echo 'KeyError: 7' >&2; exit 7", monkeypatch)
    with Fleet(COPIES) as fleet:
        (member,) = fleet.start(1)
        fleet._processes[0].wait()
        with pytest.raises(KadnetError, match="node 00 ended by itself, with 7") as caught:
            fleet.check()
        assert caught.value.hint == "it said: KeyError: 7"
        fleet.kill(member)
        fleet.check()  # of one that was killed nothing else is expected


def test_a_node_remembers_the_contacts_that_its_disk_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(folder, READY.format(id=ID), monkeypatch)
    with Fleet(COPIES, FleetSettings(pause=0.001)) as fleet:
        (member,) = fleet.start(1)
        asked = 0

        def status(_client: Client) -> Status:
            """The node knows two, and notes them between our questions."""
            nonlocal asked
            asked += 1
            with closing(sqlite3.connect(member.client.data_dir / "peers.db")) as database, database:
                if asked == 2:
                    database.execute("CREATE TABLE peers (id INTEGER PRIMARY KEY)")
                if asked in (3, 4):
                    database.execute("INSERT INTO peers (id) VALUES (NULL)")
            return Status("", "", "", 0.0, 2, 0, 0, 0, True, True, COPIES, "public", (), (), {})

        monkeypatch.setattr(Client, "status", status)
        assert fleet.remembered(member) == 2
        assert asked == 5, "no database, no table, nothing, one, two"


def test_what_does_not_come_to_be_is_not_waited_for_longer_than_that(folder: Path) -> None:
    with Fleet(COPIES, FleetSettings(pause=0.001, until_within=0.02)) as fleet:
        looks = iter([False, True])
        assert fleet.until(lambda: next(looks))
        assert not fleet.until(lambda: False)
