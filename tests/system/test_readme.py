"""README.md is run as it stands, but for its two ports, which may be taken on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.processes import ROOT, Town, environment, first_line, free_port

README = (ROOT / "README.md").read_text("utf-8")
PORTS = ("7420", "7421")
ID = re.compile(r"[a-z2-7]{56}")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return found


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
        programs = folder / "bin"
        programs.mkdir()
        (programs / "kadnet").write_text(f'#!/bin/sh\nexec {sys.executable} -m kadnet "$@"\n')
        (programs / "kadnet").chmod(0o755)
        self._env = environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")

    def type(self, line: str) -> list[str]:
        """The lines that come of it: of a job in the background the first."""
        if line.endswith("&"):
            job = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {line[:-1]}"], cwd=self.folder, env=self._env, stdout=subprocess.PIPE
            )
            self.jobs.append(job)
            return [first_line(job)]
        if line.startswith("kill "):
            for number in re.findall(r"%(\d+)", line):
                job = self.jobs[int(number) - 1]
                job.terminate()
                assert job.wait(10) == 0
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


@pytest.fixture
def shell(town: Town) -> Iterator[Shell]:
    made = Shell(town.root)
    yield made
    made.close()


def here(text: str, ports: dict[str, str]) -> str:
    """A text of the README with ports that are free."""
    return re.sub("|".join(PORTS), lambda match: ports[match[0]], text)


def play(shell: Shell, ports: dict[str, str]) -> list[str]:
    """Type what the README types, and compare. Returns the lines that stop the nodes; they are not typed yet."""
    rest = []
    for block in blocks("console"):
        for typed, shown in steps(here(block, ports)):
            if typed.startswith("kill "):
                rest.append(typed)
                continue
            said = shell.type(typed)
            assert [ID.sub("<id>", line) for line in said] == [ID.sub("<id>", line) for line in shown], typed
    return rest


def test_the_command_lines_of_the_readme_do_what_it_shows(shell: Shell) -> None:
    ports = {port: str(free_port()) for port in PORTS}
    kills = play(shell, ports)
    assert len(shell.jobs) == 2, "the README shows two nodes"
    assert kills, "and how to stop them"
    for typed in kills:
        shell.type(typed)
    assert [job.poll() for job in shell.jobs] == [0, 0]


def test_the_python_of_the_readme_runs_between_two_processes(shell: Shell) -> None:
    ports = {port: str(free_port()) for port in PORTS}
    play(shell, ports)
    examples = blocks("python")
    assert examples
    for number, example in enumerate(examples):
        (shell.folder / "join.py").write_text(example)
        said = shell.type(f"{sys.executable} join.py 127.0.0.1:{ports['7420']} ./carol{number}")
        # Bob wrote before; the program has both nodes to store its own with, and finds both values.
        assert said == ["stored with 2 of 16 nodes", "b'blue'", "b'blue'"]
    assert shell.type("kadnet --data-dir ./alice get color") == ["blue"] * (1 + len(examples))
