"""A database that cannot be opened says so in a line, whatever of it failed."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from kadnet import storage
from kadnet.errors import DataDirError
from tests.unit.test_storage import make


def refused(path: Path) -> str:
    with pytest.raises(DataDirError) as caught:
        make(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_file_of_somebody_else_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chmod(_path: Path, _mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", chmod)
    path = tmp_path / "rows.db"
    assert refused(path) == f"{path} cannot be opened: Operation not permitted"


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), sqlite3.OperationalError("Too many open files")]
)
def test_a_second_connection_that_fails_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The last descriptor went to the first one, which is closed again."""
    opened: list[sqlite3.Connection] = []
    connect = storage._connect

    def one_only(path: Path | None, precious: bool) -> sqlite3.Connection:
        if opened:
            raise error
        opened.append(connect(path, precious))
        return opened[0]

    monkeypatch.setattr(storage, "_connect", one_only)
    path = tmp_path / "rows.db"
    assert refused(path) == f"{path} cannot be opened: Too many open files"
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_a_file_where_its_folder_should_be_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be opened" in refused(tmp_path / "file" / "rows.db")
