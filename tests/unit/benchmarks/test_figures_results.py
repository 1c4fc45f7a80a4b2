"""From the lines of `make figures` to medians, verdicts and tables."""

from __future__ import annotations

import math

import pytest

from benchmarks.figures import console, document
from benchmarks.figures.results import Results
from benchmarks.figures.sheet import FIGURES, GROUPS, SIDES, Figure, Over
from tests.unit.benchmarks.lines import Line, machine


def line(row: str, side: str = "kadnet", repeat: int = 1, **figures: float | None) -> Line:
    return {"row": row, "side": side, "repeat": repeat, "figures": figures}


def figure(key: str) -> Figure:
    return next(each for each in FIGURES if each.key == key)


def the_verdict(results: Results, key: str) -> str:
    return next(outcome.verdict for outcome in results.outcomes() if outcome.figure.key == key)


def the_cells(text: str, title: str) -> list[str]:
    found = next(line for line in text.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_every_figure_has_a_name_of_its_own_and_stands_in_a_table() -> None:
    assert len({each.key for each in FIGURES}) == len(FIGURES)
    assert {each.group for each in FIGURES} | {"stages"} == set(GROUPS)


def test_the_median_of_the_seeds_counts_with_the_lowest_and_the_highest_beside_it() -> None:
    lines = [line("world", repeat=seed, whole_p50=value) for seed, value in ((1, 0.9), (2, 1.2), (3, 1.0))]
    results = Results(lines)
    assert results.spread(figure("world whole_p50"), "kadnet") == (1.0, 0.9, 1.2)
    assert the_verdict(results, "world whole_p50") == "met"


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("messages", 30.0, "met"),
        ("messages", 33.0, "MISSED by 10 %"),
        ("messages", 30.01, "MISSED by less than 1 %"),
        ("recall", 98.0, "met"),
        ("recall", 49.0, "MISSED by 50 %"),
        ("whole_p95", None, "MISSED: it never came"),
        ("hops", 5.0, ""),
    ],
)
def test_a_goal_is_met_at_its_bound_and_missed_beyond_it(name: str, value: float | None, verdict: str) -> None:
    assert the_verdict(Results([{**line("world"), "figures": {name: value}}]), f"world {name}") == verdict


def test_what_is_divided_is_divided_within_its_repeat() -> None:
    lines = [line("blobs", repeat=at, cpu_ms=ours) for at, ours in ((0, 1.0), (1, 4.0), (2, 9.0))]
    lines += [line("blobs", "libtorrent", repeat=at, cpu_ms=theirs) for at, theirs in ((0, 2.0), (1, 4.0))]
    ratio = next(each for each in FIGURES if each.over == Over("blobs", "libtorrent", "cpu_ms"))
    assert Results(lines).values(ratio, "kadnet") == [0.5, 1.0]


def test_growth_is_a_sides_own() -> None:
    lines = [line("cold", messages=30.0), line("few", messages=25.0)]
    lines += [line("cold", "k8-a3-2s", messages=30.0), line("few", "k8-a3-2s", messages=10.0)]
    growth = next(each for each in FIGURES if each.over == Over("few", None, "messages"))
    results = Results(lines)
    assert [results.values(growth, side) for side in ("kadnet", "k8-a3-2s")] == [[1.2], [3.0]]


def test_nothing_is_divided_by_nothing() -> None:
    ratio = next(each for each in FIGURES if each.over == Over("kill", None, "before_p50_ms"))
    for before in (None, 0.0):
        assert Results([line("kill", after_p50_ms=5.0, before_p50_ms=before)]).values(ratio, "kadnet") == []


def test_a_miss_stands_in_the_table_as_plainly_as_what_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.figures.results.REASONS", {"world messages": "the world is large"})
    lines = [machine(), line("world", messages=60.0, recall=99.0), line("world", "k8-a3-2s", messages=20.0)]
    text = document.figures(Results(lines), None)
    assert the_cells(text, "messages of a lookup") == [
        "messages of a lookup", "≤ 30", "**60**", "**MISSED by 100 %**", "20",
    ]  # fmt: skip
    assert the_cells(text, "recall") == ["recall of the k closest, %", "≥ 98", "**99**", "met", "–"]
    assert "- **Missed**: messages of a lookup: the world is large." in text
    assert "1 of 2 goals are met, 1 missed." in text
    assert "the world is large" in console.table(Results(lines))


def test_a_reason_is_shown_only_where_a_goal_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.figures.results.REASONS", {"world messages": "the world is large"})
    results = Results([line("world", messages=20.0)])
    assert "the world is large" not in document.figures(results, None) + console.table(results)


def test_a_miss_without_a_reason_says_that_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.figures.results.REASONS", {})
    results = Results([line("world", messages=60.0)])
    assert "nobody has written down why" in document.figures(results, None)
    assert "nobody has written down why" in console.table(results)


def test_goals_that_were_not_measured_are_named() -> None:
    text = document.figures(Results([line("world", messages=20.0)]), None)
    assert "- put, p95 (Storing)." in text
    assert "- messages of a lookup (World W: 1,000 nodes)." not in text


def test_a_control_that_cannot_be_had_has_its_reason_and_its_dated_figure() -> None:
    gone: Line = {"row": "environment", "side": "kademlia", "error": "no | registry"}
    text = document.figures(Results([gone, line("kill", after_p99_ms=90.0)]), None)
    assert the_cells(text, "get, p99, after")[-1] == "† 5,006"
    assert "- kademlia: no \\| registry." in text
    here = document.figures(
        Results([line("kill", after_p99_ms=90.0), line("kill", "kademlia", after_p50_ms=9.0)]), None
    )
    assert the_cells(here, "get, p99, after")[-1] == "–"


def test_what_failed_is_said_and_makes_no_figure() -> None:
    failed: Line = {"row": "world", "side": "k8-a3-2s", "repeat": 2, "error": "had not ended after 300 s"}
    text = document.figures(Results([line("world", messages=20.0), failed]), None)
    assert "- k8-a3-2s, world: 1 of its runs failed: had not ended after 300 s." in text


def test_stages_come_the_dearest_first_with_their_parts() -> None:
    results = Results([line("stages", repeat=0, walking=30.0, sealing=90.0)])
    assert results.stages() == [("sealing", 90.0, 0.75), ("walking", 30.0, 0.25)]
    assert the_cells(document.figures(results, None), "sealing") == ["sealing", "90", "75%"]


def test_a_document_can_be_made_from_nothing_but_says_nothing() -> None:
    assert console.table(Results([])) == "nothing was finished"
    assert "0 of 0 goals are met" in document.figures(Results([]), None)
    assert Results([]).rows() == []


def test_json_has_null_for_what_never_came() -> None:
    (row,) = Results([line("world", whole_p95=None), line("world", "k8-a3-2s", whole_p95=None)]).rows()
    assert (row["ours"], row["beside"], row["met"]) == (None, {"k8-a3-2s": None}, False)
    assert math.isinf(Results([line("world", whole_p95=None)]).values(figure("world whole_p95"), "kadnet")[0])


def test_every_side_has_a_label() -> None:
    assert all(SIDES.values())
