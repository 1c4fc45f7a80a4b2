"""`--write-vectors`, and the fixture `vectors` that holds what we make against the files of `tests/vectors/`.

Only for bytes of our own making. Answers from an RFC are read with `tests.vectorfile.load`, so no flag rewrites them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests import vectorfile

CheckVectors = Callable[[str, Sequence[vectorfile.Vector]], None]
"""`check(name, made)`: `made` is exactly what `tests/vectors/<name>.txt` holds, inputs, bytes and order."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-vectors",
        action="store_true",
        help="write tests/vectors/ anew from what the code makes today, instead of comparing (look at the diff)",
    )


@pytest.fixture
def vectors(request: pytest.FixtureRequest) -> CheckVectors:
    """Compare with a vector file, or write it under `--write-vectors`."""
    write = bool(request.config.getoption("--write-vectors"))

    def check(name: str, made: Sequence[vectorfile.Vector]) -> None:
        if write:
            vectorfile.dump(name, made)
        assert vectorfile.load(name) == [dict(vector) for vector in made]

    return check
