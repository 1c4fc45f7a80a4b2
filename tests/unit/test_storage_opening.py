"""A database that cannot be opened says so in a line, whatever of it failed."""

from __future__ import annotations

import errno
import random
import shutil
import sqlite3
from collections.abc import Callable
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


def test_a_file_where_its_folder_should_be_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be opened" in refused(tmp_path / "file" / "rows.db")


# What is precious is judged before a byte of it is written.


def killed_while_open(folder: Path) -> Path:
    """A database as kill -9 leaves it: what was written last is in the -wal alone."""
    path = folder / "rows.db"
    living = make(folder / "living.db", precious=True)
    living._writer.execute("INSERT INTO rows VALUES (1, 'kept')")
    for suffix in ("", "-wal"):
        shutil.copy(f"{living.path}{suffix}", f"{path}{suffix}")
    living.close()
    return path


def no_header(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(path.stat().st_size))
    Path(f"{path}-wal").unlink()


def torn(path: Path) -> None:
    page = storage.StorageSettings().page_size
    path.write_bytes(path.read_bytes()[:page] + random.Random(7).randbytes(path.stat().st_size - page))
    wal = Path(f"{path}-wal")
    wal.write_bytes(wal.read_bytes()[:32])  # what would have made it whole again is gone too


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def of_another_program(path: Path) -> None:
    foreign(path, 0)


def of_another_program_with_a_version(path: Path) -> None:
    foreign(path, 1)


def foreign(path: Path, version: int) -> None:
    path.unlink()
    Path(f"{path}-wal").unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()


DAMAGE = [no_header, torn, emptied, removed, of_another_program, of_another_program_with_a_version]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_precious_and_damaged_is_refused_and_left_byte_for_byte(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = killed_while_open(tmp_path)
    damage(path)
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal")]
    before = [file.read_bytes() if file.exists() else None for file in files]
    with pytest.raises(DataDirError, match=r"is damaged .* and is left as it is") as caught:
        make(path, precious=True)
    assert "***" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert [file.read_bytes() if file.exists() else None for file in files] == before


def test_what_kill_left_in_the_wal_is_there_after_the_next_start(tmp_path: Path) -> None:
    again = make(killed_while_open(tmp_path), precious=True)
    assert again.read("SELECT * FROM rows") == [(1, "kept")]
    again.close()


def killed_while_it_was_made(folder: Path) -> Path:
    """A database as kill -9 leaves it in its first transaction: pages written, not committed, and a hot -journal."""
    path = folder / "rows.db"
    making = sqlite3.connect(folder / "making.db", isolation_level=None)
    making.execute(f"PRAGMA page_size = {storage.StorageSettings().page_size}")
    making.execute("PRAGMA cache_size = 2")
    making.execute("BEGIN IMMEDIATE")
    making.execute("CREATE TABLE rows (number, text)")
    for number in range(200):
        making.execute("INSERT INTO rows VALUES (?, zeroblob(900))", (number,))
    for suffix in ("", "-journal"):
        shutil.copy(folder / f"making.db{suffix}", f"{path}{suffix}")
    making.close()
    assert path.stat().st_size
    assert Path(f"{path}-journal").stat().st_size
    return path


@pytest.mark.parametrize("precious", [True, False])
def test_a_first_start_that_was_killed_is_undone_by_the_next(tmp_path: Path, precious: bool) -> None:
    database = make(killed_while_it_was_made(tmp_path), precious=precious)
    assert database.read("SELECT * FROM rows") == []
    assert database.notes == []
    database.close()
