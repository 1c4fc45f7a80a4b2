from __future__ import annotations

import json
from dataclasses import replace

from kadnet.cli.page import Page
from kadnet.cli.sim.table import as_json, table, world
from kadnet.lab.model import STRATEGIES, Plan, Sample
from tests.unit.cli.sim.fake import DONE, LOST, report

HEAD = ["strategy", "p50", "p95", "p99", "p50", "p95", "p99", "p50", "p95", "messages", "hops", "found", "recall"]


def test_the_world_is_told_in_the_units_of_the_command_line() -> None:
    plan = Plan(nodes=12_000, loss=0.005, stale=0.1, churn=3600.0, sessions="weibull", seed=9)
    assert world(plan) == "12,000 nodes, 10 % stale, 0.5 % loss, median session 60 min (weibull), seed 9"
    assert world(Plan()) == "1,000 nodes, 0 % stale, 0 % loss, no churn, seed 1"


def test_the_median_round_trip_is_that_of_the_kind_of_network_not_of_this_world() -> None:
    lines = table(Plan(nodes=2, lookups=4), [report()])
    assert lines[1] == "median round trip of this kind of network: 112 ms"
    assert "in median round trips of this kind of network," in " ".join(lines)
    assert "this world" not in " ".join(lines)


def test_a_row_has_its_figures_under_their_headings() -> None:
    lines = table(Plan(nodes=50, lookups=4), [report()])
    assert lines[4].split() == HEAD
    assert lines[5].split() == ["kadnet", *["1.8"] * 3, *["2.0"] * 3, "0.60", "0.60", "20.0", "2.0", "100.0%", "100.0%"]
    assert [text.strip(" -") for text in lines[3].split("  ") if text.strip()] == [
        "first, × median", "first, × direct", "all k, s",
    ]  # fmt: skip


def test_a_group_of_headings_ends_with_its_last_column() -> None:
    lines = table(Plan(nodes=50, lookups=4), [report(name) for name in STRATEGIES])
    groups, head = lines[3], lines[4]
    ends = [place + 3 for place in range(len(head)) if head[place : place + 3] in ("p99", "p95")]
    for group, end in (("× median -", ends[1]), ("× direct -", ends[3]), ("all k, s -", ends[4])):
        stop = groups.index(group) + len(group)
        assert stop <= end
        assert groups[stop:end].strip("-") == ""


def test_what_is_not_all_is_never_called_100_per_cent() -> None:
    samples = (*[DONE] * 1999, LOST)
    lines = table(Plan(nodes=50, lookups=2000), [report(samples=samples, plan=Plan(nodes=50, lookups=2000))])
    assert lines[5].endswith("99.9%   99.9%")
    assert "2,000 lookups each" in lines[0]


def test_what_never_came_is_called_never_and_what_was_not_measured_a_dash() -> None:
    lines = table(Plan(nodes=50, lookups=4), [report(samples=(DONE, LOST, LOST, LOST)), report("k8-a3-2s", ())])
    assert lines[5].split()[1:4] == ["never"] * 3
    assert set(lines[6].split()[1:]) == {"-"}


def test_no_line_is_wider_than_100_columns_whatever_the_figures_are() -> None:
    slow = Sample(first=1234.5, direct=0.001, whole=98765.4, messages=123_456, hops=50, recall=1.0)
    plan = Plan(nodes=1_000_000, lookups=1_000_000, churn=31_536_000.0, sessions="exponential", loss=1 / 3, seed=10**18)
    found = [report(name, (slow, slow), plan) for name in STRATEGIES]
    lines = table(plan, found, interrupted=True)
    assert max(map(len, lines)) <= 100
    assert lines[6].split() == [
        "kadnet*", *["11022"] * 3, *["1e+06"] * 3, "98765", "98765", "1e+05", "50.0", "100.0%", "100.0%",
    ]  # fmt: skip


def test_sentences_are_no_wider_than_the_terminal_and_figures_keep_their_columns() -> None:
    plan = Plan(nodes=50, lookups=41, stale=0.4)
    some = report(samples=(DONE,) * 3, plan=plan)
    wide, narrow = table(plan, [some], ["k8-a3-2s"]), table(plan, [some], ["k8-a3-2s"], page=Page(60))
    assert wide == table(plan, [some], ["k8-a3-2s"], page=Page(200))
    assert " ".join(narrow).split() == " ".join(wide).split(), "nothing is lost"
    for line in narrow:
        assert len(line) <= 60 or line in wide[:7]
    assert max(map(len, narrow[-6:])) <= 60
    assert any(len(line) > 60 for line in wide[-6:])


def test_lookups_that_never_ended_are_told_apart_from_an_interrupt() -> None:
    plan = Plan(nodes=50, lookups=4)
    some = report(samples=(DONE,) * 3, plan=plan)
    assert "* kadnet: ended with 3 of 4 lookups" in table(plan, [some])
    assert "* kadnet: interrupted after 3 of 4 lookups" in table(plan, [some], interrupted=True)


def test_json_has_null_for_what_is_no_number_and_no_more_digits_than_microseconds() -> None:
    samples = (LOST, replace(DONE, first=0.123456789), LOST, LOST)
    said = json.dumps(as_json(Plan(nodes=50, lookups=4), ["kadnet"], [report(samples=samples)], interrupted=False))
    assert "Infinity" not in said
    assert "NaN" not in said
    (only,) = json.loads(said)["strategies"]
    assert only["samples"]["first"] == [None, 0.123457, None, None]
    assert only["summary"]["first_p99"] is None
    assert only["summary"]["success"] == 0.25


def test_so_many_lookups_that_they_find_out_the_dead_are_named() -> None:
    few, many = Plan(nodes=100, lookups=40, stale=0.2), Plan(nodes=100, lookups=41, stale=0.2)
    assert "find out the dead" not in "\n".join(table(few, []))
    assert "find out the dead" in "\n".join(table(many, []))
    assert "find out the dead" not in "\n".join(table(replace(many, stale=0.0), []))
