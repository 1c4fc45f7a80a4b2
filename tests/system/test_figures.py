"""The crew of `make figures` keeps what was said and leaves nobody behind; its page is made from figures alone."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.document import BEGIN, END
from benchmarks.environments import ROOT
from benchmarks.figures.crew import Crew
from benchmarks.figures.plan import Job
from benchmarks.figures.progress import Progress

_LINE = {"row": "world", "side": "kadnet", "repeat": 1, "figures": {"messages": 20.0}}


def job(text: str, *, alone: bool = False) -> Job:
    return Job("world", "kadnet", 1, (sys.executable, "-c", text), 1.0, 0, alone)


def work_off(*todo: Job, memory: int | None = None) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    with Crew(lines.append, Progress(io.StringIO(), todo, 2), ()) as crew:
        crew.work_off(todo, 2, memory)
    return lines


def test_what_a_script_said_before_it_failed_is_kept_with_its_last_words() -> None:
    said = f"print({json.dumps(_LINE)!r}, flush=True); raise SystemExit('no more')"
    assert work_off(job(said)) == [_LINE, {"row": "world", "side": "kadnet", "repeat": 1, "error": "no more"}]


@pytest.mark.parametrize(
    ("text", "error"),
    [("print('hello')", "no JSON"), ("print('{}')", "no row"), ("", "printed nothing"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_script_that_fails_does_not_stop_the_others(text: str, error: str) -> None:
    lines = work_off(job(text), job(f"print({json.dumps(_LINE)!r})"), memory=10**12)
    assert _LINE in lines
    assert [error in line["error"] for line in lines if "error" in line] == [True]


def test_what_is_too_large_for_the_memory_is_recorded_and_not_run() -> None:
    large = Job("world", "kadnet", 1, ("false",), 1.0, 2**31)
    assert work_off(large, memory=2**30)[0]["error"] == "it needs 2.0 GiB of memory, and 1.0 GiB are free"


def test_the_end_of_the_crew_ends_what_a_script_started(tmp_path: Path) -> None:
    """What it started holds a pipe open: its end is the end of the pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    child = f"import os, time; os.write(os.open({str(pipe)!r}, os.O_WRONLY), b'here'); time.sleep(90)"
    starts = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(90)"
    todo = [job(starts)]

    class Enough(Exception):
        pass

    class Watching(Progress):
        def show(self, now: float) -> None:
            with suppress(BlockingIOError):
                if os.read(reader, 4):
                    raise Enough

    with pytest.raises(Enough), Crew(lambda _: None, Watching(io.StringIO(), todo, 1), ()) as crew:
        crew.work_off(todo, 1, None)
    assert select.select([reader], [], [], 60)[0], "it lives on"
    assert os.read(reader, 4) == b""
    os.close(reader)


def test_ctrl_c_prints_what_was_finished_and_leaves_the_page_alone() -> None:
    page = (ROOT / "docs" / "performance.md").read_bytes()
    command = [sys.executable, "-m", "benchmarks.figures", "--quick", "--only", "stragglers", "--only", "world"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    while "1/" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert "first value, p50" in out or "lookup beside" in out
    assert "interrupted; nothing is left running" in complaints
    assert (ROOT / "docs" / "performance.md").read_bytes() == page


def test_options_that_are_unknown_or_cannot_be_get_one_line() -> None:
    for options in (["--bogus"], ["--only", "bogus"], ["--from", "nowhere.jsonl"]):
        done = figures(*options)
        assert done.returncode == 2, done
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("", "no figure of kadnet"),
        ('{"row": "environment", "side": "libtorrent", "error": "not there"}\n', "no figure of kadnet"),
        ('\n{"row": "machine"}\n', "lines.jsonl:2: "),
        (json.dumps({**_LINE, "side": "k8-a3-2s"}), "no figure of kadnet"),
    ],
)
def test_a_page_is_not_written_from_nothing_nor_from_foreign_lines(lines: str, named: str, tmp_path: Path) -> None:
    page = pages(tmp_path, lines)
    done = figures("--from", str(tmp_path / "lines.jsonl"), "--docs", str(page.parent))
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert page.read_text() == f"# Head\n{BEGIN}\n{END}\n"


def test_no_page_is_made_of_a_quick_run(tmp_path: Path) -> None:
    about = {"date": "2026-11-21", "system": "s", "python": "3", "cpus": 2, "memory_gib": 24, "repeats": 3}
    machine = {"row": "machine", **about, "loopback_only": True, "quick": True}
    page = pages(tmp_path, f"{json.dumps(machine)}\n{json.dumps(_LINE)}\n")
    done = figures("--from", str(tmp_path / "lines.jsonl"), "--docs", str(page.parent))
    assert done.returncode == 2
    assert "quick run" in done.stderr
    assert page.read_text() == f"# Head\n{BEGIN}\n{END}\n"


def test_a_page_its_picture_and_its_lines_are_written_together(tmp_path: Path) -> None:
    curve = [[0.1, 0.05, 0.4], [0.2, 0.1, 0.5], [None, 0.2, 0.6]]
    text = f"{json.dumps({**_LINE, 'curve': curve})}\n"
    page = pages(tmp_path, text)
    done = figures("--from", str(tmp_path / "lines.jsonl"), "--docs", str(page.parent))
    assert done.returncode == 0, done
    assert "| messages of a lookup | ≤ 30 | **20** | met |" in page.read_text("utf-8")
    assert (page.parent / "performance.jsonl").read_text() == text
    assert "<svg" in (page.parent / "performance.svg").read_text("utf-8")


def pages(folder: Path, lines: str) -> Path:
    """A folder of documents with an empty page, and lines beside it."""
    (folder / "lines.jsonl").write_text(lines)
    docs = folder / "docs"
    docs.mkdir()
    page = docs / "performance.md"
    page.write_text(f"# Head\n{BEGIN}\n{END}\n")
    return page


def figures(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.figures", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
