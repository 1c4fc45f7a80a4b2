from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.processes import Town, town


@pytest.fixture(name="town")
def _town() -> Iterator[Town]:
    with town() as made:
        yield made
