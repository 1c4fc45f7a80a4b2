"""The seeds of scenarios: what is typed, which tests get them, and the line that shows a failure again."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios import conftest

SCENARIO = """
import pytest
from kadnet.lab import run

async def main(seed):
    assert seed != 7

def test_takes_a_seed(seed):
    run(main, seed, seed=seed)

@pytest.mark.parametrize("seed", [7])
def test_has_its_own(seed):
    run(main, seed, seed=seed)

def test_takes_none():
    run(main, 7, seed=7)
"""


@pytest.mark.parametrize(
    ("text", "meant"),
    [("7", [7]), ("1,2,3", [1, 2, 3]), ("100-103", [100, 101, 102, 103]), ("3-4, 4, 1", [3, 4, 1]), ("0", [0])],
)
def test_seeds_are_numbers_and_ranges_of_them(text: str, meant: list[int]) -> None:
    assert conftest.seeds(text) == meant


@pytest.mark.parametrize("text", ["", "x", "1,,2", "-1", "1-", "5-3", "1.5", "0-10000", "1-6000,6001-12000", "9" * 16])
def test_what_means_no_seeds_or_too_many_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        conftest.seeds(text)


def test_a_failure_prints_the_line_that_shows_it_again(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(SCENARIO)
    shutil.copy(conftest.__file__, tmp_path)
    root = Path(conftest.__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--lab-seeds=6-8", "test_x.py"],
        cwd=tmp_path,
        # Where CI is set, pytest tells every failure twice, whole.
        env={**{k: v for k, v in os.environ.items() if k not in ("CI", "BUILD_NUMBER")}, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 failed, 2 passed" in ran.stdout
    again = [line.partition("again: ")[2] for line in ran.stdout.splitlines() if "shows it again: " in line]
    assert again == [
        "python -m pytest 'test_x.py::test_takes_a_seed[7]' --lab-seeds=7",
        "python -m pytest 'test_x.py::test_has_its_own[7]'",
        "python -m pytest 'test_x.py::test_takes_none'",
    ]
