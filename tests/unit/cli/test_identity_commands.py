from __future__ import annotations

import json
from pathlib import Path

from kadnet.datadir import open_datadir
from kadnet.version import VERSION
from tests.unit.cli.runner import typed


def test_init_makes_an_identity_and_id_shows_it(tmp_path: Path) -> None:
    made = typed("init", data_dir=tmp_path / "alice")
    assert made.exit_code == 0
    assert len(made.stdout.strip()) == 56
    assert typed("id", data_dir=tmp_path / "alice").stdout == made.stdout
    assert json.loads(typed("id", "--json", data_dir=tmp_path / "alice").stdout) == {"id": made.stdout.strip()}


def test_init_says_its_answer_in_json(tmp_path: Path) -> None:
    said = json.loads(typed("init", "--json", data_dir=tmp_path).stdout)
    assert said["data_dir"] == str(tmp_path)
    assert said["id"] == typed("id", data_dir=tmp_path).stdout.strip()


def test_a_second_init_is_refused_and_names_the_first(tmp_path: Path) -> None:
    first = typed("init", data_dir=tmp_path).stdout.strip()
    before = (tmp_path / "identity.json").read_bytes()
    again = typed("init", data_dir=tmp_path)
    assert again.exit_code == 2
    assert first in again.stderr
    assert (tmp_path / "identity.json").read_bytes() == before


def test_id_without_an_identity_says_how_to_make_one(tmp_path: Path) -> None:
    done = typed("id", data_dir=tmp_path)
    assert done.exit_code == 2
    assert f"kadnet --data-dir {tmp_path} init" in done.stderr


def test_a_damaged_identity_is_neither_shown_nor_replaced(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    path.touch(0o600)
    for command in ("id", "init"):
        done = typed(command, data_dir=tmp_path)
        assert done.exit_code == 2
        assert "is empty" in done.stderr
    assert path.read_bytes() == b""


def test_init_in_a_data_dir_in_use_is_exit_4_with_the_pid(tmp_path: Path) -> None:
    with open_datadir(tmp_path, 0.0):
        done = typed("init", data_dir=tmp_path)
    assert done.exit_code == 4
    assert "in use by process" in done.stderr


def test_id_needs_no_lock(tmp_path: Path) -> None:
    typed("init", data_dir=tmp_path)
    with open_datadir(tmp_path, 0.0):
        assert typed("id", data_dir=tmp_path).exit_code == 0


def test_the_version_is_told_thrice() -> None:
    assert typed("version").stdout == f"kadnet {VERSION}\n"
    assert typed("--version").stdout == f"kadnet {VERSION}\n"
    assert json.loads(typed("version", "--json").stdout)["version"] == VERSION
