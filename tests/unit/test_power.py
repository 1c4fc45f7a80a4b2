"""The runner of `make power` is what vouches for the other tests, so it must not be fooled itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import power

ROW = """
[[row]]
feature = "a"
file = "kadnet/a.py"
find = "if full:"
replace = "if False:"
tests = ["tests/unit/test_a.py::test_full"]
"""


def the_row() -> power.Row:
    return power.parse(ROW)[0]


def test_rows_are_read_as_written() -> None:
    assert power.parse("# none yet") == []
    row = the_row()
    assert (row.feature, row.file, row.find, row.replace) == ("a", "kadnet/a.py", "if full:", "if False:")
    assert row.tests == ("tests/unit/test_a.py::test_full",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('feature = "a"\n', ""),
        ("replace =", "replaced ="),
        ('["tests/unit/test_a.py::test_full"]', "[]"),
        ('["tests/unit/test_a.py::test_full"]', '"tests/unit/test_a.py::test_full"'),
        ("if False:", "if full:"),
        ("[[row]]", "[[rows]]"),
        ('"if full:"', "7"),
        ("[[row]]", "[row"),
    ],
)
def test_a_row_that_is_not_whole_is_refused(old: str, new: str) -> None:
    assert old in ROW
    with pytest.raises(power.BadRows, match=r"power\.toml"):
        power.parse(ROW.replace(old, new))


@pytest.mark.parametrize("source", ["", "if full:\n    pass\nif full:\n    pass\n"])
def test_the_text_to_replace_must_stand_exactly_once(source: str) -> None:
    assert power.switch_off(the_row(), "x\nif full:\n") == "x\nif False:\n"
    with pytest.raises(power.BadRows, match="times"):
        power.switch_off(the_row(), source)


def test_only_a_failing_test_makes_a_row_red() -> None:
    failed = "FAILED tests/unit/test_a.py::test_full - assert 1 == 2\n1 failed in 0.01s\n"
    verdict = power.judge(the_row(), 1, failed, 0.0)
    assert (verdict.word, verdict.detail) == ("red", "assert 1 == 2")
    assert power.judge(the_row(), 0, "1 passed\n", 0.0).word == "GREEN"
    for code in (2, 3, 4, 5):
        assert power.judge(the_row(), code, "ERROR tests/unit/test_a.py\n", 0.0).word == "BROKEN"


def test_every_test_of_a_row_must_fail() -> None:
    tests = ["tests/a.py::test_one", "tests/a.py::test_two"]
    assert power.still_green(tests, ["tests/a.py::test_one"]) == ["tests/a.py::test_two"]
    assert power.still_green(tests, ["tests/a.py::test_one[7]", "tests/a.py::test_two[a - b]"]) == []
    assert power.still_green(tests, ["tests/a.py::test_one_more", "tests/a.py::test_two"]) == ["tests/a.py::test_one"]
    assert power.still_green(["tests/a.py"], ["tests/a.py::test_one"]) == []


def test_every_row_finds_what_it_switches_off() -> None:
    root = Path(power.__file__).resolve().parents[1]
    for row in power.parse((root / "tests" / "power.toml").read_text()):
        power.switch_off(row, (root / row.file).read_text())
        for test in row.tests:
            assert (root / test.partition("::")[0]).is_file(), test
