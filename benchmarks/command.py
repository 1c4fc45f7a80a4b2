"""What `make bench` and `make figures` do alike around their own work: measure until it ends or a person ends it, show
what was finished, put it into its page, and end with an exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.document import NoMarkers, placed
from benchmarks.metrics import Line
from benchmarks.plan import Impossible
from benchmarks.terminal import heed_endings, say


def exit_code(work: Callable[[], int]) -> int:
    """That of the work; 2 after one line about what cannot be, 130 where a person ended it."""
    heed_endings()
    try:
        return work()
    except Impossible as reason:
        say(f"error: {reason}")
        return 2
    except KeyboardInterrupt:
        return 130


def is_finished(measure: Callable[[], None]) -> bool:
    """Measure, and whether nobody ended it before its end: what was finished is to be shown all the same."""
    try:
        measure()
    except KeyboardInterrupt:
        say("\ninterrupted; nothing is left running. What was finished:")
        return False
    return True


def show(rows: Iterable[Line], table: str, *, as_json: bool) -> None:
    """On standard output: a line of JSON for each row, or the table."""
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        print(table)


def page_text(page: Path) -> str:
    """A page that has a place for figures. Raises Impossible."""
    try:
        text = page.read_text("utf-8")
        placed(text, "")
    except FileNotFoundError:
        raise Impossible(f"{page} is not there") from None
    except NoMarkers as reason:
        raise Impossible(f"{page}: {reason}") from None
    return text


def write(page: Path, text: str, source: Path) -> None:
    """A page, and beside it the lines that it was made from."""
    page.write_text(text, "utf-8")
    lines = page.with_suffix(".jsonl")
    if source.resolve() != lines.resolve():
        shutil.copyfile(source, lines)
