from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.processes import Town, command, environment, until


@pytest.fixture
def temporary(town: Town) -> Iterator[Path]:
    """Where the demo makes its folders. Short, like the folders of a person's machine."""
    return_to = town.root / "t"
    return_to.mkdir()
    yield return_to
    assert list(return_to.iterdir()) == [], "the demo leaves no file behind"


def begin(temporary: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(None, "demo", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(TMPDIR=str(temporary)),
    )


def nodes_in(temporary: Path) -> list[int]:
    """The processes that run on a data directory below `temporary`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{temporary}/".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_the_demo_finds_everything_and_delivers_everything_through_the_kills(temporary: Path) -> None:
    process = begin(temporary, "--nodes", "12", "--records", "12", "--messages", "2", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    said = json.loads(out)
    for phase in ("before", "after"):
        assert said[phase]["gets"] == said[phase]["from_network"] == 12
        assert said[phase]["datagrams_in"]["median"] > 0
        assert said[phase]["hops"]["median"] >= 1
    assert 0 in said["killed"]
    assert len(said["killed"]) == 3
    assert said["misses"] == []
    assert b"Find again" in err
    talk = said["messages"]
    assert talk["sent"] == 8
    assert talk["delivered"] == {"at_once": 4, "after_return": 2, "after_death": 2}
    assert talk["twice"] == 0
    assert talk["misses"] == []
    assert 0 < talk["receipt_ms"]["median"] <= talk["receipt_ms"]["most"] < 10_000
    assert err.decode().count("one link between them") == 3
    assert nodes_in(temporary) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_takes_its_nodes_along(temporary: Path, number: int, code: int) -> None:
    process = begin(temporary, "--nodes", "10")
    until(lambda: len(nodes_in(temporary)) >= 3, attempts=5000)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err.decode()
    assert b"Traceback" not in err
    assert nodes_in(temporary) == []


def test_interrupted_while_one_of_its_nodes_is_dead_it_leaves_none_behind(temporary: Path) -> None:
    process = begin(temporary, "--nodes", "10", "--records", "1")
    assert process.stdout is not None
    seen = next(line for line in process.stdout if line.endswith(b"queued\n"))
    assert "→".encode() in seen
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()
    assert b"nothing is left behind" in err
    assert b"Traceback" not in err
    assert nodes_in(temporary) == []
