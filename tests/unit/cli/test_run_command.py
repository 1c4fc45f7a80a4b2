from __future__ import annotations

from pathlib import Path

import pytest

from kadnet.datadir import open_datadir
from tests.unit.cli.runner import typed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "seed.example:7420"], "the host is a name"),
        (["--listen", "127.0.0.1:99999"], "the port '99999'"),
        (["--bootstrap", "127.0.0.1:x"], "the port 'x'"),
        (["--bootstrap", "kadnet://abc@127.0.0.1"], "node ID has 3 characters"),
    ],
)
def test_a_mistyped_address_is_named_before_anything_is_made(tmp_path: Path, words: list[str], said: str) -> None:
    done = typed("run", *words, data_dir=tmp_path / "new")
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_data_dir_in_use_is_exit_4_with_the_pid(tmp_path: Path) -> None:
    with open_datadir(tmp_path, 0.0):
        done = typed("run", "--listen", "127.0.0.1:0", data_dir=tmp_path)
    assert done.exit_code == 4
    assert done.stdout == ""
    assert "in use by process" in done.stderr
