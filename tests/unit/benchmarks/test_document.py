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


@pytest.mark.parametrize(
    "document", ["# Head", f"{BEGIN} only", f"{END} before {BEGIN}", f"{BEGIN} {END} {END}", f"{BEGIN} {BEGIN} {END}"]
)
def test_a_document_without_both_markers_once_is_refused(document: str) -> None:
    with pytest.raises(NoMarkers):
        placed(document, "new")


def test_figures_that_hold_a_marker_do_not_become_a_second_one() -> None:
    text = placed(f"{BEGIN}\n{END}\n", f"an error: {END} {BEGIN}")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert placed(text, "new") == f"{BEGIN}\n\nnew\n\n{END}\n"


_BAD = "<b>`x`\n# *y*</b> \x1b[1m | <!-- figures: end -->"
_TAMED = "&lt;b&gt;\\`x\\` # \\*y\\*&lt;/b&gt; \ufffd\\[1m \\| &lt;!-- figures: end --&gt;"


def test_texts_of_others_mean_nothing_to_markdown_and_stay_on_their_line() -> None:
    missing: Line = {"row": "environment", "peer": "opendht", "error": f"e {_BAD}"}
    refused: Line = {"row": "largest", "peer": "kademlia", "repeat": 0, "bytes": 9, "refused": 10, "how": f"h {_BAD}"}
    told = {**about("kademlia", f"d {_BAD}", stream=f"c {_BAD}"), "measured": [f"m {_BAD}"], "version": f"v {_BAD}"}
    lines = [missing, refused, told, failed("ping", "kademlia", 1, f"f {_BAD}"), ping("kadnet", 0, 5.0)]
    text = scoreboard(Scoreboard([{**machine(), "system": f"s {_BAD}"}, *lines]), "benchmarks.svg")
    assert "<b>" not in text
    assert END not in text
    assert "\x1b" not in text
    for letter in "ehdcmvfs":
        assert f"{letter} {_TAMED}" in text, letter


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
