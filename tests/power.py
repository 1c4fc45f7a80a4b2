"""Switches features off, one at a time, and looks whether their tests notice.

The rows stand in tests/power.toml. All tests named there must first pass as the code is. Then each row gets a scratch
copy of the repository with one text replaced, and every test it names must fail there: fail, not break, so a copy that
does not even import, or a test that is not found, is a broken row. `make power ROW=text` takes only the rows whose
feature or file contains the text.

    python tests/power.py [TEXT]        exit 0: all red; 1: a row stayed green or is broken; 2: the rows are wrong
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = "tests/power.toml"
_AT_ONCE = 2
_TIMEOUT = 180  # seconds for one row's tests; a feature that is off should fail its test, not hang it
_TIMEOUT_OF_ALL = 1800  # seconds for the tests of all rows as things are
_PASSED, _FAILED = 0, 1  # pytest's exit codes; all others mean that it could not do its work


class BadRows(Exception):
    """tests/power.toml does not say what it should; the message names the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One feature and how it is switched off. `file` is relative to the root, `tests` are pytest node ids."""

    feature: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a row: red is what is wanted. `detail` says why a test failed, or what is wrong."""

    row: Row
    word: str
    detail: str
    seconds: float


def parse(text: str) -> list[Row]:
    """The rows of power.toml. Raises BadRows."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRows(f"{ROWS}: {error}") from None
    unknown = set(tables) - {"row"}
    if unknown:
        raise BadRows(f"{ROWS}: there is only [[row]], not {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for number, table in enumerate(tables.get("row", []), start=1):
        where = f"{ROWS}: row {number} ({table.get('feature', 'without a feature')})"
        names = {"feature", "file", "find", "replace", "tests"}
        if set(table) != names:
            raise BadRows(f"{where}: needs exactly {', '.join(sorted(names))}")
        tests = table["tests"]
        texts = [table[name] for name in sorted(names - {"tests"})]
        if not all(isinstance(text, str) for text in texts):
            raise BadRows(f"{where}: everything but tests is a text")
        if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
            raise BadRows(f"{where}: tests is a list of one or more pytest node ids")
        if table["find"] == table["replace"]:
            raise BadRows(f"{where}: find and replace are the same")
        rows.append(Row(table["feature"], table["file"], table["find"], table["replace"], tuple(tests)))
    return rows


def switch_off(row: Row, source: str) -> str:
    """The source with the row's text replaced. Raises BadRows unless the text stands there exactly once."""
    times = source.count(row.find)
    if times != 1:
        raise BadRows(f"the text to replace stands {times} times in {row.file}, not once")
    return source.replace(row.find, row.replace)


def failures(output: str) -> dict[str, str]:
    """The failed tests of pytest's short summary, each with its reason. A test whose set-up errs counts as failed."""
    failed: dict[str, str] = {}
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("FAILED", "ERROR"):
            node, _, reason = rest.partition(" - ")
            failed.setdefault(node, reason.strip())
    return failed


def still_green(tests: Iterable[str], failed: Iterable[str]) -> list[str]:
    """The tests that did not fail. One failed case of a parametrised test, or one test of a named file, will do."""
    nodes = list(failed)
    return [test for test in tests if not any(_covers(test, node) for node in nodes)]


def _covers(test: str, node: str) -> bool:
    return node == test or node.startswith((f"{test}[", f"{test}::", f"{test.rstrip('/')}/"))


def judge(row: Row, code: int, output: str, seconds: float) -> Verdict:
    """What a run of the row's tests on the switched-off copy means."""
    failed = failures(output)
    if code == _PASSED:
        return Verdict(row, "GREEN", "its tests pass without it", seconds)
    if code != _FAILED:
        return Verdict(row, "BROKEN", f"pytest ended with {code}: {_last_line(output)}", seconds)
    green = still_green(row.tests, failed)
    if green:
        return Verdict(row, "GREEN", f"passes without it: {', '.join(green)}", seconds)
    return Verdict(row, "red", next(iter(failed.values())), seconds)


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def copy_to(target: Path) -> None:
    """The repository as it stands, committed or not, without what git ignores."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listing.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():  # a file that was deleted is still listed until that is committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def environment(root: Path) -> dict[str, str]:
    """Ours, but `import kadnet` means the copy, also in the processes that tests start."""
    return {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "500",  # or pytest cuts its summary lines short
    }


def pytest(root: Path, tests: Sequence[str], *more: str, timeout: float = _TIMEOUT) -> tuple[int, str]:
    """Run tests in a copy, `more` for pytest itself. (exit code, output).

    Raises subprocess.TimeoutExpired, or BadRows if it is no copy.
    """
    probe = "import importlib.util as u; print(list(u.find_spec('kadnet').submodule_search_locations)[0])"
    asked = subprocess.run(
        [sys.executable, "-c", probe], cwd=root, env=environment(root), capture_output=True, text=True, check=True
    )
    if Path(asked.stdout.strip()).resolve() != (root / "kadnet").resolve():
        raise BadRows(f"the tests would import kadnet from {asked.stdout.strip()}, not from the copy")
    options = ["-q", "-p", "no:cacheprovider", "--tb=no", "-rfE", "--color=no", *more]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=root,
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return ran.returncode, ran.stdout


def try_row(row: Row, scratch: Path) -> Verdict:
    """Switch one feature off in a copy of its own and run its tests there."""
    started = time.monotonic()
    root = Path(tempfile.mkdtemp(dir=scratch))
    try:
        copy_to(root)
        file = root / row.file
        if not file.is_file():
            raise BadRows(f"there is no file {row.file}")
        file.write_text(switch_off(row, file.read_text("utf-8")), "utf-8")
        code, output = pytest(root, row.tests)
        verdict = judge(row, code, output, time.monotonic() - started)
    except BadRows as error:
        verdict = Verdict(row, "BROKEN", str(error), time.monotonic() - started)
    except subprocess.TimeoutExpired:
        verdict = Verdict(row, "BROKEN", f"its tests hang: stopped after {_TIMEOUT} s", time.monotonic() - started)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"  {verdict.word:<7}{row.feature}", flush=True)
    return verdict


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """One line a row."""
    width = max(len(verdict.row.feature) for verdict in verdicts)
    return [
        f"{verdict.word:<7}{verdict.row.feature:<{width}}{verdict.seconds:>7.1f} s   {verdict.detail[:100]}"
        for verdict in verdicts
    ]


def main(wanted: Sequence[str]) -> int:
    """Do every row that was asked for. The exit code of `make power`."""
    if {"-h", "--help"} & set(wanted):
        print(__doc__)
        return 0
    try:
        rows = parse((ROOT / ROWS).read_text("utf-8"))
    except BadRows as error:
        print(error)
        return 2
    text = " ".join(wanted)
    rows = [row for row in rows if text in row.feature or text in row.file]
    if not rows:
        print(f"no row of {ROWS} contains {text!r}" if text else f"{ROWS} has no rows yet")
        return 2 if text else 0
    with tempfile.TemporaryDirectory(prefix="kadnet-power-") as folder:
        scratch = Path(folder)
        tests = list(dict.fromkeys(test for row in rows for test in row.tests))
        print(f"{len(rows)} features; their tests must pass as things are", flush=True)
        unmodified = scratch / "unmodified"
        copy_to(unmodified)
        try:
            code, output = pytest(unmodified, tests, "-n2", timeout=_TIMEOUT_OF_ALL)
        except BadRows as error:
            print(error)
            return 1
        except subprocess.TimeoutExpired:
            print(f"the tests as things are took more than {_TIMEOUT_OF_ALL} s")
            return 1
        if code != _PASSED:
            print(output)
            print("the tests do not pass as things are")
            return 1
        print("and must fail with the feature switched off", flush=True)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            verdicts = list(pool.map(lambda row: try_row(row, scratch), rows))
    print("\n" + "\n".join(table(verdicts)))
    wrong = sum(verdict.word != "red" for verdict in verdicts)
    print(f"\n{len(verdicts) - wrong} red as they must be, {wrong} not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
