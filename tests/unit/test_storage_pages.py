"""How large the pages of a database are, which decides what an open one costs in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kadnet.runtime import real_runtime
from kadnet.storage import Database, StorageSettings

MIGRATIONS = ("CREATE TABLE rows (n INTEGER PRIMARY KEY)",)


@pytest.mark.parametrize("place", ["new.db", None])
def test_a_new_database_has_small_pages_and_an_old_one_keeps_its_own(place: str | None, tmp_path: Path) -> None:
    offload = real_runtime().offload
    new = Database(None if place is None else tmp_path / place, MIGRATIONS, offload=offload)
    assert new.read("PRAGMA page_size") == [(1024,)]
    new.close()
    for size in (4096, 1024):
        settings = StorageSettings(page_size=size)
        old = Database(tmp_path / "old.db", MIGRATIONS, offload=offload, settings=settings)
        assert old.read("PRAGMA page_size") == [(4096,)]
        old.close()
