"""The scripts of `make bench` run, and nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from benchmarks.document import BEGIN, END
from benchmarks.environments import ROOT
from benchmarks.runner import Failed, run

_CHILD = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""
_LEAVES_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {_CHILD!r}], stdout=subprocess.PIPE, text=True)
line = '{{"port": %d}}' % int(child.stdout.readline())
open(REPORT, "w").write(line)
print(line, flush=True)
"""


_ASKER = """
import time, trio
from benchmarks.pairs import serving
async def serve(tell):
    tell.send("up")
    await trio.sleep_forever()
with serving(serve) as word:
    print(word, flush=True)
    time.sleep(600)
"""
_STARTS_IT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_ASKER!r}])"


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("end", ["", "raise SystemExit('that was all')"])
def test_what_a_script_started_ends_with_it(end: str, tmp_path: Path) -> None:
    report = tmp_path / "line"
    script = _LEAVES_A_CHILD.replace("REPORT", repr(str(report))) + end
    with pytest.raises(Failed, match="that was all") if end else nullcontext():
        run(python(script), {}, limit=60)
    port = json.loads(report.read_text())["port"]
    assert any(is_free(port) for _ in range(50_000))


def test_a_script_that_fails_is_told_by_its_own_last_words() -> None:
    with pytest.raises(Failed, match="ZeroDivisionError"):
        run(python("1 / 0"), {}, limit=60)
    with pytest.raises(Failed, match="no JSON"):
        run(python("print('hello')"), {}, limit=60)
    with pytest.raises(Failed, match="printed nothing"):
        run(python(""), {}, limit=60)


def test_the_driver_of_kadnet_brings_back_what_it_put() -> None:
    # Of few values the one who asks may hold each itself: of ten, once in some fifty runs.
    (line,) = run([sys.executable, "-m", "benchmarks.peers.peer_kadnet", "overlay", "24", "40"], {}, limit=120)
    assert 12 <= line["copies"] <= 16  # on a busy machine a holder may be late with its acknowledgement
    assert [each["right"] == each["asked"] > 0 for each in line["flight"]] == [True] * 3


def test_options_that_are_unknown_or_cannot_be_get_one_line() -> None:
    for options in (["--bogus"], ["--repeats", "0"], ["--killed", "40"], ["--from", "nowhere.jsonl"]):
        command = [sys.executable, "-m", "benchmarks", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 2, done
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


def test_without_matplotlib_a_file_is_looked_at_first_and_then_what_is_to_be_installed_is_said(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text("")
    for package in ("benchmarks", "benchmarks.figures"):
        bare = (
            "import importlib.util, runpy, sys; find = importlib.util.find_spec; "
            "importlib.util.find_spec = lambda name, *of: None if name == 'matplotlib' else find(name, *of); "
            f"sys.argv[0] = '{package}'; runpy.run_module('{package}', run_name='__main__')"
        )
        for name, said in (("nowhere.jsonl", "nowhere.jsonl"), ("lines.jsonl", "matplotlib: pip install '.[plot]'")):
            command = [sys.executable, "-c", bare, "--from", str(tmp_path / name), "--docs", str(tmp_path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
            assert done.returncode == 2, done
            assert done.stderr.startswith("error: ")
            assert said in done.stderr
            assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", [_ASKER, _STARTS_IT], ids=["the asker", "what started the asker"])
def test_no_server_of_a_pair_outlives_a_kill_of(script: str) -> None:
    process = subprocess.Popen(python(script), stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
        process.communicate(timeout=30)  # the server has the pipe too: it closes when nobody is left
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("", "no figure of kadnet"),
        ('{"row": "environment", "peer": "opendht", "error": "not there"}\n', "no figure of kadnet"),
        ('\n{"row": "machine"}\n', "lines.jsonl:2: "),
    ],
)
def test_a_document_is_not_written_from_nothing_nor_from_foreign_lines(lines: str, named: str, tmp_path: Path) -> None:
    source, docs = tmp_path / "lines.jsonl", tmp_path / "docs"
    source.write_text(lines)
    docs.mkdir()
    (docs / "benchmarks.md").write_text(f"{BEGIN}\nold\n{END}\n")
    command = [sys.executable, "-m", "benchmarks", "--from", str(source), "--docs", str(docs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in docs.iterdir()] == ["benchmarks.md"]
    assert (docs / "benchmarks.md").read_text() == f"{BEGIN}\nold\n{END}\n"
