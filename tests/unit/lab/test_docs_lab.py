"""docs/lab.md is tried: its programs are read out of the document and run, and what it names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kadnet.lab as lab
from kadnet.lab import LabNode, World, replay_line

PAGE = Path(__file__).parents[3].joinpath("docs", "lab.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def our_own_replay_line() -> Iterator[None]:
    """A program of the document sets another, and this process goes on."""
    token = replay_line.set(None)
    yield
    replay_line.reset(token)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_document_runs_as_it_stands(number: int) -> None:
    exec(compile(PROGRAMS[number], f"docs/lab.md program {number}", "exec"), {"__name__": "__main__"})  # noqa: S102  # it is ours


def test_the_document_begins_with_testing_your_own_app_and_a_program_of_ten_lines() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE)[0] == "Testing your own app"
    lines = [line for line in PROGRAMS[0].splitlines() if line]
    assert len(lines) <= 12, "ten, the imports and the call"
    assert "assert " in PROGRAMS[0]


def test_the_first_program_notices_what_it_looks_for() -> None:
    broken = PROGRAMS[0].replace('put("color", b"blue")', 'put("color", b"green")')
    with pytest.raises(AssertionError):
        exec(compile(broken, "docs/lab.md", "exec"), {})  # noqa: S102  # it is ours


def test_what_the_tables_name_is_there() -> None:
    tables = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    named = set(re.findall(r"\bworld\.([a-z_]+)\(", tables))
    assert named >= {"jump", "kill", "start"}
    for name in named:
        assert callable(getattr(World, name)), name
    for name in re.findall(r"\blab_node\.disk\.([a-z]+)\(", tables):
        assert callable(getattr(lab.VirtualDisk, name))
    for name in re.findall(r"`([A-Z][A-Za-z]+)[.(]", tables):
        assert hasattr(lab, name), name
    assert callable(LabNode.holds)
