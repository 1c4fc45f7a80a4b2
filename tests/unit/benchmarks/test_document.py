"""The tables are made from the lines, and say what is missing and what was lost."""

from __future__ import annotations

import pytest

from benchmarks.document import BEGIN, END, NoMarkers, number, placed, scoreboard
from benchmarks.scores import Scoreboard
from tests.unit.benchmarks.lines import Line, about, failed, machine, overlay, ping


def the_text(*lines: Line) -> str:
    return scoreboard(Scoreboard([machine(), about("kadnet", "sign blobs"), *lines]), "benchmarks.svg")


def the_row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_figures_take_the_place_of_the_old_ones_and_nothing_else_changes() -> None:
    document = f"# Head\n\n{BEGIN}\nold\n{END}\n\n## Tail\n"
    assert placed(document, "new") == f"# Head\n\n{BEGIN}\n\nnew\n\n{END}\n\n## Tail\n"
    assert placed(placed(document, "new"), "new") == placed(document, "new")


@pytest.mark.parametrize("document", ["# Head", f"{BEGIN} only", f"{END} before {BEGIN}"])
def test_a_document_without_both_markers_is_refused(document: str) -> None:
    with pytest.raises(NoMarkers):
        placed(document, "new")


def test_a_loss_is_marked_as_plainly_as_a_win() -> None:
    text = the_text(
        about("kademlia", "encrypt"),
        *(overlay("kadnet", at, build=3.0, get=0.5) for at in range(2)),
        *(overlay("kademlia", at, build=1.0, get=1.0) for at in range(2)),
    )
    assert the_row(text, "build the overlay") == ["build the overlay, s", "3", "▼ **3** (3–3)<br>1"]
    assert the_row(text, "get, p50") == ["get, p50, ms", "0.5", "▲ **0.5** (0.5–0.5)<br>1"]
    assert the_row(text, "put, p50")[2].startswith("=")


def test_a_peer_that_is_not_installed_has_its_error_and_the_dated_figures() -> None:
    missing: Line = {"row": "environment", "peer": "opendht", "error": "not installed: apt-get install python3-opendht"}
    text = the_text(missing, overlay("kadnet", 0))
    assert the_row(text, "build the overlay") == ["build the overlay, s", "1", "† 5.0"]
    assert "- OpenDHT: not installed: apt-get install python3-opendht." in text


def test_a_peer_that_is_installed_shows_no_dated_figures() -> None:
    lines = [about("opendht"), failed("overlay-32", "opendht", 0, "had not ended after 300 s"), overlay("kadnet", 0)]
    text = the_text(*lines)
    assert the_row(text, "build the overlay")[2] == "–"
    assert "- OpenDHT, overlay-32: 1 of its runs failed: had not ended after 300 s." in text


def test_what_a_peer_does_not_do_and_cannot_be_asked_is_said() -> None:
    lines = [about("libtorrent", "encrypt datagrams", ping="there is no call for it"), overlay("libtorrent", 0)]
    text = the_text(*lines, overlay("kadnet", 0), ping("kadnet", 0, 5.0))
    assert "- libtorrent does not: encrypt datagrams." in text
    assert "- libtorrent has no ping: there is no call for it." in text
    assert "- kadnet does not: sign blobs." in text


def test_a_machine_without_namespaces_is_said() -> None:
    assert "no network namespace" in scoreboard(Scoreboard([machine(loopback_only=False)]), "x.svg")
    assert "no network namespace" not in scoreboard(Scoreboard([machine()]), "x.svg")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123456, "0.00123"), (1, "1"), (9.876, "9.88"), (123.4, "123"), (58_432.0, "58,400")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
