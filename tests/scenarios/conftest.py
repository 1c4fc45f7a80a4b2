"""Which seeds a scenario runs with, and how one that failed is shown again.

`--lab-seeds=7`, `1,2,3` or `100-199` says with which seeds every scenario that takes `seed` runs; without it these are
1, 2 and 3. A scenario that needs seeds of its own parametrizes `seed` itself and is left alone. The option is known
when pytest is given this folder or a file in it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Generator

import pytest

from kadnet.lab import replay_line

DEFAULT = [1, 2, 3]
_MOST = 10_000  # more would cost hours, and pytest minutes before the first of them
_PART = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?")


def seeds(text: str) -> list[int]:
    """The seeds that "7", "1,2,3" or "100-199" means, each once. Raises ArgumentTypeError."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is no seed; write 7, 1,2,3 or 100-199")
        first = int(match[1])
        last = int(match[2] or first)
        if last < first:
            raise argparse.ArgumentTypeError(f"{part.strip()} runs backwards; write the smaller seed first")
        if last - first + len(found) >= _MOST:
            raise argparse.ArgumentTypeError(f"more than {_MOST} seeds; `make swarm` is made for that")
        found.update(dict.fromkeys(range(first, last + 1)))
    return list(found)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lab-seeds",
        type=seeds,
        default=DEFAULT,
        metavar="SEEDS",
        help="seeds of the scenarios: 7, 1,2,3 or 100-199 (default 1,2,3)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames or has_its_own_seeds(metafunc.definition):
        return
    # Where pytest was given a folder above this one, it has not heard of the option.
    metafunc.parametrize("seed", metafunc.config.getoption("lab_seeds", DEFAULT))


def has_its_own_seeds(item: pytest.Item) -> bool:
    """Whether the test parametrizes `seed` itself."""
    names = [mark.args[0] for mark in item.iter_markers("parametrize")]
    return any("seed" in (re.split(r"[,\s]+", each) if isinstance(each, str) else each) for each in names)


@pytest.fixture(autouse=True)
def shown_again(request: pytest.FixtureRequest) -> Generator[None]:
    """`kadnet.lab.run` notes on what it raises how this test is run again with the seed that it had."""

    def line(seed: int) -> str:
        chosen_here = "seed" in request.fixturenames and not has_its_own_seeds(request.node)
        option = f" --lab-seeds={seed}" if chosen_here else ""
        return f"python -m pytest '{request.node.nodeid}'{option}"

    token = replay_line.set(line)
    yield
    replay_line.reset(token)
