from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kadnet.cli.sim import command as sim_module
from kadnet.lab import model
from kadnet.lab.model import STRATEGIES
from tests.unit.cli.runner import typed
from tests.unit.cli.sim.fake import Pretended

SMALL = ("--nodes", "24", "--lookups", "10")


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    monkeypatch.setattr(model, "Simulation", Pretended)
    monkeypatch.setattr(sim_module, "processors", lambda: 1)  # in this process, where it can be seen
    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(Pretended, "interrupted_in", None, raising=False)
    return Pretended


# ------------------------------------------------------------------------------------------------------ what it shows


def test_a_small_world_ends_with_a_row_for_each_strategy_under_the_world_and_over_the_meaning() -> None:
    done = typed("sim", *SMALL, "--loss", "1", "--stale", "10%")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "24 nodes, 10 % stale, 1 % loss, no churn, seed 1; 10 lookups each"
    assert lines[1].startswith("median round trip of this kind of network: ")
    assert [line.split()[0] for line in lines[5:9]] == list(STRATEGIES)
    assert lines[10].startswith("first: the time until the first value")
    assert "joining 24 nodes" in done.stderr


def test_one_seed_gives_one_result_and_another_seed_another() -> None:
    def said(seed: int) -> str:
        done = typed("sim", *SMALL, "--strategy", "kadnet", "--seed", str(seed), "--json")
        assert done.exit_code == 0, done.output
        return done.stdout

    assert said(3) == said(3)
    assert json.loads(said(3))["strategies"][0]["samples"] != json.loads(said(4))["strategies"][0]["samples"]


def test_the_json_has_the_plan_and_each_strategys_figures_and_samples(pretended: type[Pretended]) -> None:
    done = typed("sim", *SMALL, "--stale", "10", "--churn", "60", "--strategy", "k8-a3-2s", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["plan"] == {
        "nodes": 24, "lookups": 10, "loss": 0.0, "stale": 0.1, "churn": 3600.0, "sessions": "exponential", "seed": 1,
        "strategies": ["k8-a3-2s"],
    }  # fmt: skip
    assert said["interrupted"] is False
    (only,) = said["strategies"]
    assert (only["strategy"], only["complete"]) == ("k8-a3-2s", True)
    assert only["summary"]["first_p50"] == 0.2
    assert only["summary"]["success"] == 1
    assert {len(column) for column in only["samples"].values()} == {10}


def test_strategies_stand_in_the_order_of_the_table_and_each_once(pretended: type[Pretended]) -> None:
    words = ("--strategy", "k8-a3-2s", "--strategy", "kadnet", "--strategy", "k8-a3-2s")
    assert typed("sim", *SMALL, *words).exit_code == 0
    assert pretended.made == ["kadnet", "k8-a3-2s"]


def test_the_picture_is_drawn_and_named(pretended: type[Pretended], tmp_path: Path) -> None:
    done = typed("sim", *SMALL, "--plot", str(tmp_path / "out.svg"))
    assert done.exit_code == 0
    assert done.stderr.endswith(f"the curves are in {tmp_path / 'out.svg'}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["out.svg"]


def test_capitals_at_the_end_of_a_pictures_name_are_as_good(pretended: type[Pretended], tmp_path: Path) -> None:
    assert typed("sim", *SMALL, "--plot", str(tmp_path / "out.PNG")).exit_code == 0
    assert (tmp_path / "out.PNG").read_bytes().startswith(b"\x89PNG")


def test_under_churn_all_lookups_end_and_nothing_has_a_star() -> None:
    shown = typed("sim", "--nodes", "24", "--lookups", "40", "--churn", "1", "--strategy", "k20-a10-10s")
    assert shown.exit_code == 0, shown.output
    assert "*" not in shown.stdout
    assert "40 lookups each" in shown.stdout


def test_the_help_names_every_strategy() -> None:
    said = " ".join(typed("sim", "--help").stdout.split())
    assert all(name in said for name in STRATEGIES)


# ------------------------------------------------------------------------------------------------- when it is stopped


def test_interrupted_it_shows_what_was_finished_and_marks_what_was_not(
    pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretended, "interrupted_in", ("k8-a3-2s", 3))
    done = typed("sim", *SMALL)
    assert done.exit_code == 130
    assert pretended.made == ["kadnet", "k8-a3-2s"], "none is begun after it"
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[5:7]] == [["kadnet", "1.8"], ["k8-a3-2s*", "1.8"]]
    assert "* k8-a3-2s: interrupted after 3 of 10 lookups" in lines
    assert "interrupted before k20-a3-5s, k20-a10-10s could begin" in lines


def test_interrupted_its_json_is_whole_and_its_picture_drawn(
    pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pretended, "interrupted_in", ("k8-a3-2s", 3))
    done = typed("sim", *SMALL, "--json", "--plot", str(tmp_path / "out.svg"))
    assert done.exit_code == 130
    said = json.loads(done.stdout)
    assert said["interrupted"] is True
    assert [(one["strategy"], one["complete"]) for one in said["strategies"]] == [("kadnet", True), ("k8-a3-2s", False)]
    assert len(said["strategies"][1]["samples"]["first"]) == 3
    drawn = (tmp_path / "out.svg").read_text()
    assert "(interrupted)" in drawn
    assert ">no lookup was finished of k20-a3-5s, k20-a10-10s<" in drawn
    assert drawn.count(">k8-a3-2s*: 3 of 10 lookups:") == 2


def test_interrupted_before_the_first_lookup_there_is_a_row_without_figures_and_no_picture(
    pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pretended, "interrupted_in", ("kadnet", 0))
    done = typed("sim", *SMALL, "--plot", str(tmp_path / "out.svg"))
    assert done.exit_code == 130
    assert done.stdout.splitlines()[5].split() == ["kadnet*", *"------------"]
    assert done.stderr.endswith("no lookup was finished: nothing to draw\n")
    assert list(tmp_path.iterdir()) == []
    assert json.loads(typed("sim", *SMALL, "--json").stdout)["strategies"][0]["summary"]["first_p50"] is None


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "1"], "invalid value for '--nodes': '1' is not a whole number from 2 to 1,000,000"),
        (["--nodes", "ten"], "invalid value for '--nodes': 'ten' is not a whole number from 2 to 1,000,000"),
        (["--lookups", "0"], "invalid value for '--lookups': '0' is not a whole number from 1 to"),
        (["--loss", "101"], "invalid value for '--loss': '101' is not a number of per cent from 0 to 100"),
        (["--loss", "-1"], "invalid value for '--loss': '-1' is not"),
        (["--loss", "nan"], "invalid value for '--loss': 'nan' is not"),
        (["--stale", "100.5"], "invalid value for '--stale': '100.5' is not"),
        (["--nodes", "50", "--stale", "98"], "with 49 of 50 nodes dead 1 is left, and a lookup needs 2; choose fewer"),
        (["--nodes", "50", "--stale", "100"], "with 50 of 50 nodes dead nobody is left; choose fewer"),
        (["--churn", "0"], "invalid value for '--churn': '0' is not a number of minutes from 1 to"),
        (["--churn", "inf"], "invalid value for '--churn': 'inf' is not"),
        (["--sessions", "pareto"], "invalid value for '--sessions': 'pareto' is not one of"),
        (["--sessions", "weibull"], "--sessions says how long nodes stay, but without --churn all stay; add --churn"),
        (["--strategy", "k8"], "there is no strategy 'k8'"),
        (["--strategy", "kadnt"], "there is no strategy 'kadnt', did you mean 'kadnet'?; there are kadnet, k8-a3-2s, "),
        (["--killed", "3"], "no such option '--killed'"),
        (["--seed", "-1"], "invalid value for '--seed': '-1' is not a whole number from 0 to"),
        (["--nodes", "1000000", "--lookups", "1000000"], "1,000,000 nodes and 1,000,000 lookups take about "),
        (["--plot", "out.jpeg"], "a picture is .svg or .png, which 'out.jpeg' is not; name it out.svg"),
        (["--plot", "."], ". is a folder; name a file in it, out.svg for example"),
        (["--plot", "no/such/folder/out.svg"], "cannot write a picture into no/such/folder: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(
    pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(sim_module, "available", lambda: 8 * 2**30)
    done = typed("sim", *words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"kadnet: {said}")
    assert done.stderr.count("\n") == 1
    assert pretended.made == []


def test_too_little_memory_is_said_with_both_figures(
    pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "bytes_needed", lambda plan, strategy: plan.nodes * 2**20)
    monkeypatch.setattr(sim_module, "available", lambda: 3 * 2**30)
    done = typed("sim", "--nodes", "8192", "--lookups", "10")
    assert done.exit_code == 2
    assert done.stderr == (
        "kadnet: 8,192 nodes and 10 lookups take about 8.0 GiB of memory, and 3.0 GiB are free; "
        "simulate fewer --nodes\n"
    )
    assert typed("sim", "--nodes", "2048", "--lookups", "1").exit_code == 0
    monkeypatch.setattr(sim_module, "available", lambda: None)
    assert typed("sim", "--nodes", "8192", "--lookups", "1").exit_code == 0, "who does not know lets it be"


def test_without_matplotlib_a_picture_is_refused_before_any_work_and_the_rest_goes_on(
    pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = typed("sim", *SMALL, "--plot", str(tmp_path / "out.svg"))
    assert done.exit_code == 2
    assert done.stderr == (
        "kadnet: drawing needs matplotlib, which cannot be imported here; "
        "pip install 'kadnet[plot]', or in a clone pip install '.[plot]'\n"
    )
    assert pretended.made == []
    assert typed("sim", *SMALL).exit_code == 0


@pytest.mark.parametrize("name", ["folder.svg", "file/out.svg"])
def test_a_place_where_no_picture_can_be_is_refused(pretended: type[Pretended], tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").touch()
    done = typed("sim", *SMALL, "--plot", str(tmp_path / name))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert pretended.made == []
