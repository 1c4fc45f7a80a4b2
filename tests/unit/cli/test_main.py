from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kadnet.cli.main import COMMANDS, Kadnet
from kadnet.errors import Conflict, KadnetError, NoNode
from kadnet.version import VERSION
from tests.unit.cli.runner import asked, typed
from tests.unit.daemon.fake import served

WRITTEN = [name for name in COMMANDS if name != "demo"]
HEAVY = (
    "trio", "starlette", "hypercorn", "structlog", "kadnet.node", "kadnet.overlay", "kadnet.daemon", "sqlite3",
    "prompt_toolkit", "matplotlib", "kadnet.lab",
)  # fmt: skip


def modules_after(*words: str) -> set[str]:
    """Which heavy modules a process has imported once the command is through."""
    program = (
        "import sys; from kadnet.cli.main import kadnet; code = kadnet.main(sys.argv[1:], standalone_mode=False); "
        f"print('\\n' + ' '.join(name for name in {HEAVY} if name in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 3), done.stderr
    return set(done.stdout.rpartition("\n")[0].rpartition("\n")[2].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["version"],
        *([name, "--help"] for name in ("run", "put", "lookup", "send", "chat", "contact", "sim")),
    ],
)
def test_help_imports_neither_trio_nor_the_node(words: list[str]) -> None:
    assert modules_after(*words) == set()


def test_a_short_command_imports_neither_trio_nor_a_framework(tmp_path: Path) -> None:
    assert modules_after("--data-dir", str(tmp_path), "status") == set()
    assert modules_after("--data-dir", str(tmp_path), "put", "color", "blue") == set()
    assert modules_after("--data-dir", str(tmp_path), "init") == set()
    assert modules_after("--data-dir", str(tmp_path), "send", "bob", "hi") == set()
    assert modules_after("--data-dir", str(tmp_path), "chat", "bob") == set()


def test_the_probe_of_imports_sees_an_import() -> None:
    assert "trio" in HEAVY
    program = "import trio, sys; print('trio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60).stdout == b"True\n"


@pytest.mark.parametrize("name", WRITTEN)
def test_every_command_has_help_with_an_example_and_json(name: str) -> None:
    done = typed(name, "--help")
    assert done.exit_code == 0
    assert "Example:" in done.stdout
    assert f"kadnet {name}" in done.stdout.partition("Example:")[2] or name == "init"
    assert "--json" in done.stdout


def test_the_list_of_commands_tells_what_each_is_for() -> None:
    for words in ([], ["--help"], ["-h"]):
        done = typed(*words)
        assert done.exit_code == 0
        assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "there is no command 'statsu', did you mean 'status'?; see: kadnet --help"),
        (["xyzzy"], "there is no command 'xyzzy'; see: kadnet --help"),
        (["--bogus"], "no such option '--bogus'; see: kadnet --help"),
        (["ping"], "missing argument 'WHO'; see: kadnet ping --help"),
        (["put", "a", "b", "c"], "got unexpected extra argument (c); see: kadnet put --help"),
        (["put", "a", "-5"], "no such option '-5'; write -- before a value that begins with a dash, or see"),
        (["send", "a", "-5"], "no such option '-5'; write -- before a text that begins with a dash, or see"),
        (["contact", "add", "bob", "-5"], "no such option '-5'; see: kadnet contact add --help"),
        (["put", "a", "b", "--ttl", "0"], "invalid value for '--ttl': 0 is not in the range x>=1; see"),
        (["run", "--log-level", "loud"], "invalid value for '--log-level': 'loud' is not one of"),
    ],
)
def test_a_usage_error_is_one_line_with_what_to_do(words: list[str], said: str) -> None:
    done = typed(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"kadnet: {said}")
    assert done.stderr.count("\n") == 1


def test_no_node_is_exit_3_and_says_how_to_start_one(tmp_path: Path) -> None:
    done = typed("status", data_dir=tmp_path)
    assert done.exit_code == 3
    assert done.stderr == f"kadnet: no node runs on {tmp_path}; start one with: kadnet --data-dir {tmp_path} run\n"


def test_an_error_is_json_too_when_json_was_asked_for(tmp_path: Path) -> None:
    done = typed("status", "--json", data_dir=tmp_path)
    assert done.exit_code == 3
    assert json.loads(done.stdout)["code"] == "no-node"
    assert done.stderr.count("\n") == 1


async def test_a_conflict_is_exit_1_with_the_seq_in_the_json(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.raises = Conflict("color is at seq 4", seq=4)
        done = await asked(tmp_path, "put", "color", "blue", "--if-seq", "3", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["seq"] == 4


def test_the_data_dir_may_be_named_after_the_command_and_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KADNET_DATA_DIR", str(tmp_path / "env"))
    assert str(tmp_path / "env") in typed("status").stderr
    assert str(tmp_path / "after") in typed("status", "--data-dir", str(tmp_path / "after")).stderr
    assert str(tmp_path / "first") in typed("status", data_dir=tmp_path / "first").stderr


def raising(error: BaseException) -> Kadnet:
    """A command line whose only command raises `error`."""

    @click.command("go")
    def go() -> None:
        raise error

    class Single(Kadnet):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return go

        def resolve_command(
            self, ctx: click.Context, args: list[str]
        ) -> tuple[str | None, click.Command | None, list[str]]:
            return "go", go, args[1:]

    return Single("kadnet")


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (NoNode("none"), 3), (KadnetError("x"), 1), (OSError(28, "No space left"), 1)],
)
def test_each_end_has_its_exit_code(error: BaseException, code: int) -> None:
    done = CliRunner().invoke(raising(error), ["go"])
    assert done.exit_code == code
    assert "Traceback" not in done.output


def test_what_a_peer_says_in_an_error_cannot_move_the_cursor() -> None:
    done = CliRunner().invoke(raising(KadnetError("name \x1b[2J\r\nis bad")), ["go"])
    assert done.stderr == "kadnet: name \\x1b[2J\\x0d\\x0ais bad; see the log of the node\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = "from kadnet.cli.main import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert child.stdout is not None
    child.stdout.close()
    _, said = child.communicate(timeout=60)
    assert said == b""
    assert child.returncode == 0


def test_python_m_kadnet_is_kadnet() -> None:
    done = subprocess.run([sys.executable, "-m", "kadnet", "version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"kadnet {VERSION}\n"
