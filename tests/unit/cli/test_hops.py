from __future__ import annotations

from typing import Any

import pytest

from kadnet.cli.hops import tree
from kadnet.cli.page import Page
from kadnet.shapes import Place, Query, Walked


def query(name: str, started: float, via: str | None = None, **changed: object) -> Query:
    """An answer after 5 ms, unless it is changed."""
    told: dict[str, object] = {
        "hop": 1,
        "id": name * 56,
        "address": f"kadnet://{name * 56}@203.0.113.7:7420",
        "attempts": 1,
        "started_ms": started,
        "rtt_ms": 5.0,
        "state": "answered",
        "brought": 0,
        "via": None if via is None else via * 56,
        "shared_bits": 3,
    }
    return Query(**{**told, **changed})  # type: ignore[arg-type]  # the fields above, each of its type


def walked(*trace: Query, closest: str = "") -> Walked:
    near = tuple(Place(name * 56, f"kadnet://{name * 56}@h:1") for name in closest)
    return Walked("00" * 32, near, "the closest have all answered", 3, 23, 20, 41.25, trace)


def branches(lines: list[str]) -> list[str]:
    """The lines of the tree up to the ID."""
    return [line.partition("  203.")[0].rstrip() for line in lines if "203." in line]


FAMILY = (
    query("a", 0.0),
    query("b", 0.1),
    query("c", 5.0, "a"),
    query("d", 5.1, "b"),
    query("e", 5.2, "a"),
    query("f", 10.0, "c"),
    query("g", 10.1, "c"),
    query("h", 15.0, "g"),
)


def test_everybody_stands_under_who_named_it_first_and_siblings_in_the_order_of_asking() -> None:
    assert branches(tree(walked(*FAMILY), Page(80))) == [
        "aaaaaaaa",
        "├─ cccccccc",
        "│  ├─ ffffffff",
        "│  └─ gggggggg",
        "│     └─ hhhhhhhh",
        "└─ eeeeeeee",
        "bbbbbbbb",
        "└─ dddddddd",
    ]


def test_a_terminal_that_has_no_lines_to_draw_gets_ascii() -> None:
    lines = tree(walked(*FAMILY, query("i", 20.0, attempts=2)), Page(80, plain=True))
    assert all(line.isascii() for line in lines)
    assert branches(lines)[1:6] == [
        "|- cccccccc",
        "|  |- ffffffff",
        "|  `- gggggggg",
        "|     `- hhhhhhhh",
        "`- eeeeeeee",
    ]
    assert "5.0 ms x2" in lines[-3]


def test_a_line_says_when_it_was_asked_what_came_how_near_it_is_whom_it_named_and_its_rank() -> None:
    lines = tree(
        walked(query("a", 0.04, brought=14, shared_bits=23), query("b", 1234.0, "a", shared_bits=1), closest="ba"),
        Page(80),
    )
    assert lines[0].split() == ["id", "address", "asked", "at", "answer", "shared", "new", "closest"]
    assert lines[1].split() == ["aaaaaaaa", "203.0.113.7:7420", "0.0", "ms", "5.0", "ms", "23", "bits", "14", "#2"]
    assert lines[2].split() == ["└─", "bbbbbbbb", "203.0.113.7:7420", "1234", "ms", "5.0", "ms", "1", "bit", "-", "#1"]


def test_of_a_walk_on_several_paths_each_line_says_on_which_it_was_asked() -> None:
    lines = tree(walked(query("a", 0.0, path=1), query("b", 0.1, path=2), query("c", 5.0, "b", path=2)), Page(80))
    assert lines[0].split()[:4] == ["id", "address", "path", "asked"]
    assert [line.split("203.0.113.7:7420")[1].split()[0] for line in lines[1:4]] == ["1", "2", "2"]
    assert max(map(len, tree(walked(query("a", 0.0, path=1)), Page(40)))) <= 40
    assert "path" not in tree(walked(*FAMILY), Page(80))[0]


def test_the_end_of_each_that_did_not_answer_is_told_and_what_the_marks_mean() -> None:
    silent: dict[str, Any] = {"rtt_ms": None, "attempts": 2}
    lines = tree(
        walked(
            query("a", 0.0, state="late", **silent),
            query("b", 0.0, state="failed", **silent),
            query("c", 0.0, state="asked", rtt_ms=None),
            query("d", 0.0, rtt_ms=205.4, attempts=2),
            query("e", 0.0, state="not asked", rtt_ms=None, attempts=0),
            query("f", 0.0, attempts=3),
        ),
        Page(80),
    )
    for line, said in zip(lines[1:7], ("late ×2", "none ×2", "open", "205 ms ×2", "none", "5.0 ms ×3"), strict=True):
        assert f" {said}  " in line
    assert " ".join(lines[7:9]) == (
        "×2: asked twice; ×3: asked 3 times; late: given up, though it may still answer; "
        "open: no answer when the walk ended"
    )


def test_without_marks_nothing_is_explained_and_the_last_line_says_why_it_ended() -> None:
    lines = tree(walked(*FAMILY), Page(80))
    assert len(lines) == 1 + len(FAMILY) + 1
    assert lines[-1] == "ended: the closest have all answered; 3 hops, 23 messages, 41.2 ms"
    assert tree(walked(), Page(80)) == lines[-1:]


def deep(levels: int) -> Walked:
    """Each named by the one before, all from an address as long as they come."""
    address = "kadnet://x@[2001:0db8:1111:2222:3333:4444:5555:6666]:54321"
    names = [f"{number:056}" for number in range(levels)]
    trace = [
        query("x", 1000.0 * number, id=name, via=None, address=address, state="late", rtt_ms=None, attempts=2)
        for number, name in enumerate(names)
    ]
    return walked(trace[0], *(_named(one, name) for one, name in zip(trace[1:], names, strict=False)))


def _named(found: Query, via: str) -> Query:
    return Query(
        found.hop, found.id, found.address, found.attempts, found.started_ms, found.rtt_ms, found.state, found.brought,
        via, found.shared_bits,
    )  # fmt: skip


@pytest.mark.parametrize("levels", [1, 4, 12, 60])
def test_no_line_is_wider_than_the_terminal_however_deep_the_tree_is(levels: int) -> None:
    for width in (20, 40, 80, 120):
        for plain in (False, True):
            lines = tree(deep(levels), Page(width, plain))
            assert max(map(len, lines)) <= width
            if width >= 80 and levels <= 12:
                assert sum(" 00000000  " in f" {line}" and " late " in line for line in lines) == levels


def test_at_80_columns_a_tree_of_four_levels_keeps_its_ids_its_figures_and_the_ports() -> None:
    lines = tree(deep(4), Page(80))
    assert lines[4].rstrip() == "      └─ 00000000  [2001:0db8:11…:54321   3000 ms  late ×2  3 bits    -"


def test_where_it_is_narrow_the_steps_of_the_tree_become_narrower_too() -> None:
    assert branches(tree(walked(*FAMILY), Page(74)))[1] == "├─ cccccccc"
    shown = [line.split("  ")[0] for line in tree(walked(*FAMILY), Page(60))]
    assert shown[2:4] == ["├ cccccccc", "│ ├ ffffffff"]


@pytest.mark.parametrize(
    "trace",
    [
        (query("a", 0.0, "b"), query("b", 1.0, "a")),
        (query("a", 0.0, "a"), query("b", 1.0, "z")),
        (query("b", 1.0, "a"), query("a", 2.0)),
    ],
    ids=["a circle", "itself and nobody", "too late"],
)
def test_whatever_a_trace_says_everybody_in_it_is_drawn_once(trace: tuple[Query, ...]) -> None:
    lines = tree(walked(*trace), Page(80))
    assert sum("aaaaaaaa" in line for line in lines) == 1
    assert sum("bbbbbbbb" in line for line in lines) == 1
