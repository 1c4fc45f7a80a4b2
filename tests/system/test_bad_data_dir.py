from __future__ import annotations

import json
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.processes import Running, Town, kadnet, refused

ASKING = (
    ("status",),
    ("peers",),
    ("table",),
    ("ping", "127.0.0.1:7420"),
    ("lookup", "color"),
    ("put", "color", "blue"),
    ("get", "color"),
)


def test_where_no_node_runs_each_command_says_how_to_start_one(tmp_path: Path) -> None:
    for words in ASKING:
        refused(kadnet(tmp_path, *words), f"no node runs on {tmp_path}", f"--data-dir {tmp_path} run", code=3)
    done = kadnet(tmp_path, "status", "--json")
    assert done.code == 3
    assert done.json["code"] == "no-node"
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"


def test_a_node_that_was_killed_leaves_nothing_that_misleads(town: Town) -> None:
    node = town.start(town.folder("a"))
    node.kill()
    assert (node.data_dir / "control.sock").exists()
    refused(node("status"), "no node runs", code=3)
    again = town.start(node.data_dir)
    assert again.id == node.id
    assert again.status()["id"] == node.id


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def one_digit_off(path: Path) -> None:
    fields = json.loads(path.read_text())
    fields["seed"] = ("0" if fields["seed"][0] != "0" else "1") + fields["seed"][1:]
    path.write_text(json.dumps(fields))


def opened_to_all(path: Path) -> None:
    path.chmod(0o644)


def made_unreadable(path: Path) -> None:
    if os.geteuid():
        path.chmod(0)
    else:  # root reads everything but a link that leads to itself
        path.unlink()
        path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (truncated, "cut short"),
        (emptied, "is empty"),
        (one_digit_off, "do not belong together"),
        (opened_to_all, "open to other users"),
        (made_unreadable, "cannot be read"),
    ],
)
def test_an_identity_that_cannot_be_trusted_is_refused_and_left_alone(
    tmp_path: Path, harm: Callable[[Path], None], fault: str
) -> None:
    assert kadnet(tmp_path, "init").code == 0
    path = tmp_path / "identity.json"
    harm(path)
    before = path.lstat()
    seed_free = {"seed", "ed25519"}
    for words in (("run", "--listen", "127.0.0.1:0"), ("id",), ("init",)):
        done = kadnet(tmp_path, *words)
        refused(done, "identity.json", fault)
        assert not seed_free & set(done.err.split())
    after = path.lstat()
    assert (after.st_ino, after.st_size, after.st_mode, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mode,
        before.st_mtime_ns,
    )
    assert sorted(item.name for item in tmp_path.iterdir()) == ["identity.json", "node.lock"]
    assert (tmp_path / "node.lock").read_bytes() == b"", "and the lock is free again"


def header_destroyed(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 400)


def inside_destroyed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1024:] = random.Random(7).randbytes(len(content) - 1024)  # all but the first page
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


@pytest.mark.parametrize("name", ["records.db", "peers.db"])
@pytest.mark.parametrize("harm", [header_destroyed, inside_destroyed, cut_in_half])
def test_a_damaged_cache_is_moved_aside_said_and_rebuilt(town: Town, name: str, harm: Callable[[Path], None]) -> None:
    folder = town.folder("a")
    node = town.start(folder)
    assert node("put", "me/page", "mine").code == 1, "nobody else is there to acknowledge it"
    assert node.end()[0] == 0
    harm(folder / name)
    damaged = (folder / name).read_bytes()
    again = town.start(folder)
    assert again.id == node.id
    assert f"{name} was damaged" in again.said()
    assert any(f"{name} was damaged" in note for note in again.status()["notes"])
    assert (folder / f"{name}.damaged").read_bytes() == damaged
    assert again("put", "me/other", "new").code == 1
    assert again("get", "me/other").out == "new"
    if name == "peers.db":
        assert again("get", "me/page").out == "mine"
    assert again.end()[0] == 0
    third = town.start(folder)
    assert "damaged" not in third.said(), "what was rebuilt is whole"
    assert third("get", "me/other").out == "new"


def test_a_data_dir_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(kadnet(tmp_path / "file", "run"), "not a folder")
    refused(kadnet(tmp_path / "file", "init"), "not a folder")
    refused(kadnet(tmp_path / "file", "init"), "file")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "thesis.txt").write_text("x")
    (tmp_path / "shared").chmod(0o755)
    refused(kadnet(tmp_path / "shared", "run"), "open to other users")
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o755


def test_a_data_dir_in_use_is_refused_by_pid_and_its_node_serves_on(node: Running) -> None:
    refused(kadnet(node.data_dir, "run", "--listen", "127.0.0.1:0"), f"process {node.process.pid}", code=4)
    done = kadnet(node.data_dir, "run", "--json")
    assert done.code == 4
    assert done.json["pid"] == node.process.pid
    refused(kadnet(node.data_dir, "init"), node.id)
    assert node.status()["id"] == node.id


@pytest.mark.parametrize(
    ("text", "fault", "advice"),
    [
        ("[overlay]\nreplica = 4\n", "unknown name 'replica' in [overlay]", "did you mean 'replicas'?"),
        ("[overlays]\nreplicas = 4\n", "unknown section [overlays]", "did you mean 'overlay'?"),
        ("[overlay]\nreplicas = 0\n", "replicas must be 1 to 64, not 0", ""),
        ("[overlay]\nreplicas = '4'\n", "replicas in [overlay] must be a whole number", ""),
        ("[overlay\n", "config.toml", "line 1"),
        ("[overlay]\nbootstrap = ['nowhere']\n\x00", "config.toml", ""),
        ("[overlay]\nbootstrap = ['127.0.0.1:99999']\n", "99999", ""),
        ("[node]\nlisten = 'everywhere'\n", "everywhere", ""),
    ],
)
def test_a_mistake_in_config_toml_is_named(tmp_path: Path, text: str, fault: str, advice: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    refused(kadnet(tmp_path, "run"), fault, advice)


def test_a_config_toml_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    refused(kadnet(tmp_path, "run"), "config.toml", "UTF-8")
