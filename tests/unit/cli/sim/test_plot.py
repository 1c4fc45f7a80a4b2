from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy
import pytest
from matplotlib.lines import Line2D

from kadnet.cli.sim import style
from kadnet.cli.sim.plot import Box, draw, picture
from kadnet.cli.sim.style import looks, styled
from kadnet.errors import InputError, KadnetError
from kadnet.lab.model import STRATEGIES, Plan, Report, Sample
from tests.unit.cli.sim.fake import DONE, LOST, report

PLAN = Plan(nodes=50, lookups=20)


def spread(name: str, middle: float, lost: int = 0) -> Report:
    """A strategy whose lookups take about `middle` seconds, and `lost` of which find nothing."""
    times = [middle * 1.05 ** (number - 10) for number in range(20 - lost)]
    found = tuple(replace(DONE, first=time, whole=3 * time, direct=0.05 + time / 100) for time in times)
    return report(name, (*found, *(LOST,) * lost), PLAN)


def four() -> list[Report]:
    return [spread(name, 0.1 * 4**place) for place, name in enumerate(STRATEGIES)]


def test_a_file_depends_on_nothing_but_what_is_drawn(tmp_path: Path) -> None:
    assert draw(four(), tmp_path / "a.svg")
    before = matplotlib.rcParams["lines.linewidth"]
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert draw(four(), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text()
    assert matplotlib.rcParams["lines.linewidth"] == before
    assert draw(four()[:2], tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() != (tmp_path / "b.svg").read_bytes()


def test_its_words_are_text_and_name_the_world_and_each_strategy(tmp_path: Path) -> None:
    assert draw(four(), tmp_path / "out.svg")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "out.svg").read_text())
    assert {"50 nodes, 0 % stale, 0 % loss, no churn, seed 1", "median round trip of this kind of network: 112 ms"} <= {
        *words
    }
    assert {"First value", "The k closest have answered", "milliseconds since the lookup began"} <= set(words)
    for name in STRATEGIES:
        assert sum(word.startswith(f"{name}:") for word in words) == 2, "in the legend of each panel"
        assert words.count(name) == 2, "and beside its curve, where there is room"


def test_what_was_cut_short_has_a_star_and_what_is_absent_is_named(tmp_path: Path) -> None:
    cut = spread("kadnet", 0.1)
    cut = replace(cut, samples=cut.samples[:7], complete=False)
    begun = report("k20-a3-5s", (), PLAN)
    assert draw([cut, spread("k8-a3-2s", 0.4), begun], tmp_path / "out.svg", ["k20-a10-10s"], interrupted=True)
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "out.svg").read_text())
    assert sum(word.startswith("kadnet*: 7 of 20 lookups:  ") for word in words) == 2, "in both legends"
    assert words.count("kadnet*") == 2, "beside its curves"
    assert words.count("k8-a3-2s") == 2
    assert "kadnet" not in words
    assert "no lookup was finished of k20-a3-5s, k20-a10-10s" in words


def top(line: Line2D) -> float:
    """How high a curve comes, in per cent."""
    return float(numpy.asarray(line.get_ydata()).max())


def test_what_was_not_found_keeps_the_curve_below_100_per_cent() -> None:
    with styled():
        left, right = picture([spread("kadnet", 0.1, lost=5), spread("k8-a3-2s", 0.4)]).axes
    for axes in (left, right):
        tops = {str(line.get_label()).partition(":")[0]: top(line) for line in axes.lines}
        assert tops["kadnet"] == 75.0
        assert tops["k8-a3-2s"] == 100.0
    legend = left.get_legend()
    assert legend is not None
    assert "kadnet:  95 ms, never, 75 %" in [text.get_text() for text in legend.get_texts()]


def test_the_axis_is_logarithmic_and_reaches_from_the_first_to_the_last() -> None:
    with styled():
        _, right = picture(four()).axes
    assert right.get_xscale() == "log"
    start, end = right.get_xlim()
    times = [1000 * sample.whole for each in four() for sample in each.samples if sample.whole is not None]
    assert start < min(times)
    assert end > max(times)
    assert end / start < 1.5 * max(times) / min(times)


def test_ours_is_the_thickest_and_looks_the_same_in_every_picture() -> None:
    alone = looks(["kadnet"])["kadnet"]
    for names in (list(STRATEGIES), ["libtorrent", "kadnet"]):
        given = looks(names)
        assert given["kadnet"] == alone
        assert all(given[name].width < alone.width for name in names if name != "kadnet")
        assert len({look.colour for look in given.values()}) == len(names)
        assert len({look.dashes for look in given.values()}) == len(names), "for those who see no colours"


def test_a_name_stands_where_no_curve_and_no_other_name_is() -> None:
    box = Box(100.0, 200.0, 50.0, 57.0)
    assert box.is_clear_of([10.0] * 100)
    assert box.is_clear_of([1000.0] * 100)
    assert not box.is_clear_of([150.0] * 100)
    assert not box.is_clear_of([10.0] * 52 + [1000.0] * 48), "a level piece goes through it"
    assert box.meets(Box(150.0, 300.0, 53.0, 60.0))
    assert not box.meets(Box(150.0, 300.0, 57.0, 64.0))
    with styled():
        names = ("kadnet", "k8-a3-2s", "k20-a3-5s")
        left, _ = picture([*(spread(name, 0.4) for name in names), spread("k20-a10-10s", 60.0)]).axes
    assert [text.get_text() for text in left.texts] == ["k20-a10-10s"], "those that lie upon each other have none"


def test_an_answer_that_took_no_time_or_never_came_is_drawn_too(tmp_path: Path) -> None:
    at_once = Sample(first=0.0, direct=0.0, whole=0.0, messages=0, hops=1, recall=0.0)
    for samples in ((at_once,) * 4, (LOST,) * 4, (at_once, DONE, LOST)):
        for name in ("out.svg", "out.png"):
            assert draw([report(samples=samples)], tmp_path / name)


def test_there_is_nothing_to_draw_without_a_sample(tmp_path: Path) -> None:
    assert not draw([report(samples=())], tmp_path / "out.svg")
    assert not draw([], tmp_path / "out.svg")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_an_error_of_one_line_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.svg").mkdir()
    with pytest.raises(KadnetError, match=r"^cannot write .*out\.svg: "):
        draw(four(), tmp_path / "out.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["out.svg"]


def test_a_name_that_no_file_can_have_is_refused_before_any_work(tmp_path: Path) -> None:
    style.check(tmp_path / f"{'x' * 251}.svg")
    with pytest.raises(InputError, match="too long"):
        style.check(tmp_path / f"{'x' * 252}.svg")


def test_a_picture_with_the_longest_name_there_is_can_be_written_and_a_link_stays_one(tmp_path: Path) -> None:
    longest = tmp_path / f"{'x' * 251}.svg"
    link = tmp_path / "link.svg"
    link.symlink_to(longest)
    assert draw(four(), link)
    assert link.is_symlink()
    assert longest.read_text().startswith("<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([longest.name, link.name])
