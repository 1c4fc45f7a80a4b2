"""README.md is run as it stands, from its first example to its last: what is typed is typed, the program is saved and
run, and what is shown must come. Only ports, which may be taken here, IDs, which are made anew, and times are others.

The programs of docs/python.md and docs/architecture.md are run too, each by itself.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.processes import ROOT, Town, environment, first_line, free_port, until

README = (ROOT / "README.md").read_text("utf-8")
PAGES = ("python.md", "architecture.md")
PORTS = ("7420", "7421")
SHORT = 8  # characters of an ID where it is only shown
ID = re.compile(r"\b[a-z2-7]{56}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[tuple[str, list[str]]]:
    """What is typed, each with the lines that are shown after it."""
    made: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            made.append((line[2:], []))
        else:
            made[-1][1].append(line)
    return made


class Shell:
    """What a person's shell does with the examples: jobs in the background, and commands one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[subprocess.Popen[bytes]] = []
        self._started: list[str] = []
        programs = folder / "bin"
        programs.mkdir()
        for name, runs in (("kadnet", f"{sys.executable} -m kadnet"), ("python", sys.executable)):
            (programs / name).write_text(f'#!/bin/sh\nexec {runs} "$@"\n')
            (programs / name).chmod(0o755)
        self._env = environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")

    def type(self, line: str) -> list[str]:
        """The lines that come of it: of a job in the background the first."""
        if line.endswith("&"):
            job = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {line[:-1]}"], cwd=self.folder, env=self._env, stdout=subprocess.PIPE
            )
            self.jobs.append(job)
            self._started.append(line)
            return [first_line(job)]
        if line.startswith("kill "):
            for number in re.findall(r"%(\d+)", line):
                job, started = self.jobs[int(number) - 1], self._started[int(number) - 1]
                job.terminate()
                # A program that does not mind signals ends by them.
                assert job.wait(10) == (0 if started.startswith("kadnet ") else -signal.SIGTERM)
            return []
        ran = subprocess.run(
            ["/bin/sh", "-c", line], cwd=self.folder, env=self._env, capture_output=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()
        assert ran.stderr == b""
        return ran.stdout.decode().splitlines()

    def close(self) -> None:
        for job in self.jobs:
            job.kill()
            job.wait()
            assert job.stdout is not None
            job.stdout.close()


class Reader:
    """Somebody who does what a text shows, in its order, and looks whether it is true."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._here = {port: str(free_port()) for port in PORTS}  # what stands in the text, and what it is here

    def read(self, text: str) -> None:
        for block in BLOCK.finditer(text):
            if block[1] == "console":
                for typed, shown in steps(block[2]):
                    self._type(typed, shown)
            elif block[1] == "python":
                name = re.search(r"Saved as `(\w+\.py)`", text[block.end() :])
                assert name is not None, "the text says what to call the program"
                (self.shell.folder / name[1]).write_text(block[2])

    def _type(self, typed: str, shown: list[str]) -> None:
        said = self.shell.type(self._told(typed))
        if typed.endswith("&"):
            self._learn(shown, said)
        elif typed.endswith(" inbox") and said != self._wanted(shown):  # an answer may still be on its way
            said = until(lambda: self._if_all_came(typed, shown), 30)
        assert [TIME.sub("<time>", line) for line in said] == self._wanted(shown), typed

    def _if_all_came(self, typed: str, shown: list[str]) -> list[str]:
        said = self.shell.type(self._told(typed))
        return said if len(said) == len(shown) else []

    def _wanted(self, shown: list[str]) -> list[str]:
        return [TIME.sub("<time>", self._told(line)) for line in shown]

    def _learn(self, shown: list[str], said: list[str]) -> None:
        """A node has said who it is."""
        names, ours = ID.findall("\n".join(shown)), ID.findall("\n".join(said))
        logs = [log.read_text("utf-8") for log in self.shell.folder.glob("*.log")]
        assert len(ours) == len(names), f"it said {said}, and its log {logs}"
        for there, here in zip(names, ours, strict=True):
            self._here[there] = here
            self._here[f"{there[:SHORT]}..."] = f"{here[:SHORT]}..."

    def _told(self, text: str) -> str:
        """A text with ports and IDs of here. Longest first: an ID may contain what stands for another."""
        names = sorted(self._here, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, names)), lambda match: self._here[match[0]], text)


@pytest.fixture
def shell(town: Town) -> Iterator[Shell]:
    made = Shell(town.root)
    yield made
    made.close()


def test_the_readme_is_true_from_its_first_example_to_its_last(shell: Shell) -> None:
    Reader(shell).read(README)
    assert len(shell.jobs) == 3, "two nodes, and the program"
    assert all(job.poll() is not None for job in shell.jobs), "and it says how to stop them"
    for must in ("node.send(", "node.messages(", " send ", " inbox", " contact add "):
        assert must in "".join(block[2] for block in BLOCK.finditer(README))


def programs() -> list[tuple[str, str]]:
    """The whole programs of the pages, each with a name. They run by themselves; a fragment is no program."""
    return [
        (f"{page}-{number}", block[2])
        for page in PAGES
        for number, block in enumerate(BLOCK.finditer((ROOT / "docs" / page).read_text("utf-8")))
        if block[1] == "python" and "\nrun(main" in block[2]
    ]


@pytest.mark.parametrize("program", [pytest.param(text, id=name) for name, text in programs()])
def test_the_programs_of_the_pages_run(program: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr.decode()) == (0, "")
