"""Lines that are not as the scripts print them are refused by file and line number, in one line."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.document import scoreboard
from benchmarks.plan import Impossible
from benchmarks.reading import read
from benchmarks.scores import Scoreboard
from tests.unit.benchmarks.lines import Line, about, failed, machine, overlay, ping

_GETS = {"asked": 9, "right": 9, "p50_ms": 1.0, "p95_ms": 2.0, "slowest_ms": 3.0}
_KILL = {"row": "kill", "peer": "kadnet", "repeat": 0, "processes": 30, "killed": 9, "before": _GETS, "after": _GETS}
_OURS: list[Line] = [
    machine(),
    about("kadnet", "sign blobs"),
    {**about("kademlia", stream="it has none"), "measured": ["as it comes"]},
    {"row": "environment", "peer": "opendht", "error": "not installed"},
    overlay("kadnet", 0),
    {**overlay("kademlia", 0), "put_ms": None, "copies": None, "kib_per_node": -0.5},
    failed("overlay-32", "kademlia", 1, "had not ended"),
    {**_KILL, "after": {**_GETS, "right": 0, "p50_ms": None, "p95_ms": None}},
    ping("kadnet", 0, 5.0),
    {"row": "stream-1024", "peer": "kadnet", "repeat": 0, "size": 1024, "per_s": 5.0, "mb_per_s": 5.0},
    {"row": "tasks", "peer": "kadnet", "repeat": 0, "per_s": 5.0},
    {"row": "links", "peer": "kadnet", "repeat": 0, "warm_us": 5.0, "handshakes_per_s": 5.0},
    {"row": "largest", "peer": "kadnet", "repeat": 0, "bytes": 5, "refused": None, "how": "nothing was refused"},
    {"row": "idle", "peer": "kadnet", "repeat": 0, "cpu_percent": 0.0, "mib_above_imports": 2.0},
]


def without(line: Line, name: str) -> Line:
    return {key: value for key, value in line.items() if key != name}


def written(folder: Path, *lines: object) -> Path:
    path = folder / "lines.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_lines_of_every_row_are_read_and_a_document_is_made_from_them(tmp_path: Path) -> None:
    lines = read(written(tmp_path, *_OURS))
    assert [line["row"] for line in lines] == [line["row"] for line in _OURS]
    assert scoreboard(Scoreboard(lines), "x.svg") == scoreboard(Scoreboard(_OURS), "x.svg")
    Scoreboard(lines).rows()


@pytest.mark.parametrize("number", range(len(_OURS)))
def test_a_line_without_any_one_of_its_fields_is_refused_or_makes_a_document_all_the_same(
    number: int, tmp_path: Path
) -> None:
    for name in _OURS[number]:
        with suppress(Impossible):
            lines = read(written(tmp_path, without(_OURS[number], name)))
            scoreboard(Scoreboard([*_OURS, *lines]), "x.svg")
            scoreboard(Scoreboard(lines), "x.svg")


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ({"peer": "kadnet"}, "it has no row"),
        ({"row": ["ping"]}, "row is to be a text"),
        ({"row": "bogus"}, 'row "bogus" is none'),
        ({"row": "overlay-x"}, 'row "overlay-x" is none'),
        ({"row": "stream"}, 'row "stream" is none'),
        ({"row": "machine"}, 'row "machine": date is missing'),
        (without(machine(), "loopback_only"), "loopback_only is missing"),
        ({"row": "overlay-32"}, "peer is missing"),
        ({"row": "about"}, "peer is missing"),
        ({**about("kadnet"), "does_not": ["sign", 5]}, "does_not is to be a list of texts"),
        ({**about("kadnet"), "cannot": {"ping": None}}, "cannot is to be"),
        ({"row": "environment", "peer": "kademlia"}, "error is missing"),
        (failed("ping", "kadnet", 0, "x") | {"error": 5}, "error is to be a text, not 5"),
        (without(_KILL, "before"), "before is missing"),
        ({**_KILL, "after": 5}, "after is to be an object"),
        ({**_KILL, "after": without(_GETS, "asked")}, "after.asked is missing"),
        ({**overlay("kadnet", 0), "flight": [5]}, r"flight\[0\] is to be an object"),
        ({**overlay("kadnet", 0), "flight": {"asked": 5}}, "flight is to be a list"),
        ({**overlay("kadnet", 0), "get_ms": [1.0]}, "get_ms is to be two numbers"),
        ({**ping("kadnet", 0, 5.0), "per_s": "fast"}, 'per_s is to be a number from 0 on, not "fast"'),
        ({**ping("kadnet", 0, 5.0), "per_s": True}, "per_s is to be"),
        ({**ping("kadnet", 0, 5.0), "per_s": 10**400}, "per_s is to be"),
        ({**ping("kadnet", 0, 5.0), "repeat": 0.5}, "repeat is to be a whole number"),
        ({**ping("kadnet", 0, 5.0), "peer": ["kadnet"]}, "peer is to be one of .*, not a list"),
        ({**ping("kadnet", 0, 5.0), "peer": "nobody"}, 'not "nobody"'),
        (ping("kadnet", 0, float("nan")), "NaN is no number"),
        (ping("kadnet", 0, float("-inf")), "-Infinity is no number"),
        (json.dumps(ping("kadnet", 0, 5.0)).replace("5.0", "1e999"), "per_s is to be"),
        ({**ping("kadnet", 0, 5.0), "per_s": -1}, "per_s is to be"),
    ],
)
def test_a_foreign_line_is_named_by_its_number_and_what_is_wrong(line: object, wrong: str, tmp_path: Path) -> None:
    path = written(tmp_path, ping("kadnet", 0, 5.0), "", line)
    with pytest.raises(Impossible, match=wrong) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}:3: ")
    assert "\n" not in str(refused.value)


def test_fields_that_a_row_does_not_have_are_left_out(tmp_path: Path) -> None:
    (line,) = read(written(tmp_path, {**machine(), "peer": ["kadnet"], "error": 5}))
    assert line == machine()


def test_a_file_that_is_not_there_or_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("nowhere", "bytes", "."):
        with pytest.raises(Impossible) as refused:
            read(tmp_path / name)
        assert "\n" not in str(refused.value)
