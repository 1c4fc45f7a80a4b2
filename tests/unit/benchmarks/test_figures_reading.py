"""Lines of `make figures` that are not as its scripts print them are refused by file and line number."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.figures import document
from benchmarks.figures.reading import checked, plain, read
from benchmarks.figures.results import Results
from benchmarks.plan import Impossible
from benchmarks.reading import Wrong
from tests.unit.benchmarks.lines import Line, machine

_LINE: Line = {"row": "world", "side": "kadnet", "repeat": 1, "figures": {"messages": 20.0, "whole_p95": None}}
_OURS: list[Line] = [
    {**machine(), "quick": False},
    {"row": "environment", "side": "libtorrent", "error": "not installed"},
    {**_LINE, "curve": [[0.1, 0.05, 0.5], [None, None, None]]},
    _LINE,
    {"row": "put", "side": "kadnet", "repeat": 1, "error": "had not ended"},
    {"row": "stages", "side": "kadnet", "repeat": 0, "figures": {"sealing": 30}},
]


def written(folder: Path, *lines: object) -> Path:
    path = folder / "lines.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_lines_of_every_kind_are_read_as_they_are(tmp_path: Path) -> None:
    assert read(written(tmp_path, *_OURS)) == _OURS


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert read(written(tmp_path, "", " ")) == []


@pytest.mark.parametrize("number", range(len(_OURS)))
def test_a_line_without_any_one_of_its_fields_is_refused_or_makes_a_page_all_the_same(number: int) -> None:
    for name in _OURS[number]:
        with suppress(Wrong):
            line = checked({key: value for key, value in _OURS[number].items() if key != name})
            document.figures(Results([*_OURS, line]), None)
            document.figures(Results([line]), None)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ({"side": "kadnet"}, "it has no row"),
        ({"row": 5}, "row is to be a text, not 5"),
        ({**_LINE, "row": "ping"}, 'row "ping" is none of `make figures`'),
        ({**_LINE, "row": "progress", "part": 0.5}, "none of `make figures`"),
        ({**_LINE, "side": "nobody"}, "side is to be one of .*nobody"),
        ({**_LINE, "side": ["kadnet"]}, "side is to be one of .*a list"),
        ({**_LINE, "repeat": 0.5}, "repeat is to be a whole number"),
        ({**_LINE, "figures": [5]}, "figures is to be numbers or null by name"),
        ({**_LINE, "figures": {"messages": "few"}}, "figures is to be numbers or null by name"),
        ({**_LINE, "figures": {"messages": True}}, "figures is to be numbers or null by name"),
        ({**_LINE, "figures": {"messages": 10**400}}, "figures is to be numbers or null by name"),
        (json.dumps(_LINE).replace("20.0", "NaN"), "NaN is no number"),
        ({**_LINE, "curve": [[1, 2]]}, "curve is to be a list of three"),
        ({**machine(), "quick": "no"}, "quick is to be true or false"),
        ({**_LINE, "error": 5}, "error is to be a text"),
    ],
)
def test_a_foreign_line_is_named_by_its_number_and_what_is_wrong(line: object, wrong: str, tmp_path: Path) -> None:
    path = written(tmp_path, _LINE, "", line)
    with pytest.raises(Impossible, match=wrong) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}:3: ")
    assert "\n" not in str(refused.value)


def test_figures_become_json_without_what_was_not_measured() -> None:
    found = plain({"a": 0.123456789, "b": float("inf"), "c": float("nan")})
    assert found == {"a": 0.123457, "b": None}
