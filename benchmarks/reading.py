"""Lines from a file, for `--from`: what is not as the scripts print it is refused, by file and line number.

Of a line only the fields that the document is made from are looked at and kept. Whether the figures are true, and
whether all lines are of one run, cannot be seen here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from benchmarks.environments import LABELS
from benchmarks.metrics import Line
from benchmarks.plan import STREAMS, Impossible

_LEAST, _MOST = 1e-9, 1e15
"""Sizes of a figure in any unit that is printed; what lies beyond would make ratios that are none."""


class Wrong(ValueError):
    """A line that is none of ours; the text says why, in one line."""


class Kind(NamedTuple):
    """What a field may hold; one that may hold None may be left out."""

    text: str
    holds: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether it is a number that can be printed and divided by."""
    return type(value) in (int, float) and (value == 0 or _LEAST <= abs(value) <= _MOST)


def _is_figure(value: Any) -> bool:
    return is_number(value) and value >= 0


def _is_count(value: Any) -> bool:
    return type(value) is int and _is_figure(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_figure, value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def or_none(kind: Kind) -> Kind:
    """The same, or nothing."""
    return Kind(f"{kind.text} or null", lambda value: value is None or kind.holds(value))


FIGURE = Kind("a number from 0 on", _is_figure)
_CHANGE = Kind("a number", is_number)
COUNT = Kind("a whole number from 0 on", _is_count)
TEXT = Kind("a text", _is_text)
_TEXTS = Kind("a list of texts", _are_texts)
_REASONS = Kind("texts by verb", lambda value: isinstance(value, dict) and all(map(_is_text, value.values())))
_LATENCIES = or_none(Kind("two numbers from 0 on", _is_pair))
_PEER = Kind(f"one of {', '.join(LABELS)}", lambda value: _is_text(value) and value in LABELS)
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))

Fields = Mapping[str, "Kind | Fields | Sequence[Fields]"]
"""By name: a kind, an object with fields of its own, or (in a list of one) a list of such objects."""

_ROUND: Fields = {
    **dict.fromkeys(("gets_per_s", "cpu_ms_per_get", "slowest_ms"), FIGURE),
    **dict.fromkeys(("asked", "right"), COUNT),
}
_OVERLAY: Fields = {
    "build_s": FIGURE,
    "kib_per_node": _CHANGE,
    "put_ms": _LATENCIES,
    "get_ms": _LATENCIES,
    "flight": [_ROUND],
    "copies": or_none(FIGURE),
}
_GETS: Fields = {
    **dict.fromkeys(("asked", "right"), COUNT),
    **dict.fromkeys(("p50_ms", "p95_ms", "slowest_ms"), or_none(FIGURE)),
}
ABOUT: dict[str, Fields] = {
    "machine": {
        **dict.fromkeys(("date", "system", "python"), TEXT),
        **dict.fromkeys(("cpus", "memory_gib", "repeats"), COUNT),
        "loopback_only": TRUTH,
    },
    "about": {
        "peer": _PEER,
        "version": TEXT,
        "does_not": _TEXTS,
        "measured": or_none(_TEXTS),
        "cannot": _REASONS,
    },
    "environment": {"peer": _PEER, "error": TEXT},
}
_MEASURED: dict[str, Fields] = {
    "kill": {"processes": COUNT, "killed": COUNT, "before": _GETS, "after": _GETS},
    "ping": {"per_s": FIGURE},
    "tasks": {"per_s": FIGURE},
    **{row: {"per_s": FIGURE, "mb_per_s": FIGURE} for row in STREAMS},
    "links": {"warm_us": FIGURE, "handshakes_per_s": FIGURE},
    "largest": {"bytes": COUNT, "refused": or_none(COUNT), "how": TEXT},
    "idle": {"cpu_percent": FIGURE, "mib_above_imports": _CHANGE},
}
_OF_ALL_MEASURED: Fields = {"peer": _PEER, "repeat": COUNT}


def read(source: Path, check: Callable[[Any], Line] | None = None) -> list[Line]:
    """The lines of a file, which may be none. `check`: instead of `checked`, for lines of another page.

    Raises Impossible, which names the file and the line.
    """
    check = check or checked
    try:
        text = source.read_text("utf-8")
    except OSError as error:
        raise Impossible(f"{source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Impossible(f"{source} is no text in UTF-8") from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(check(_parsed(line)))
            except Wrong as reason:
                raise Impossible(f"{source}:{number}: {reason}") from None
    return found


def row_of(line: Any) -> str:
    """The name of the row that a line is of. Raises Wrong."""
    if not isinstance(line, dict):
        raise Wrong("no JSON object")
    row = line.get("row")
    if row is None:
        raise Wrong("it has no row")
    if not isinstance(row, str):
        raise Wrong(f"row is to be a text, not {shown(row)}")
    return row


def checked(line: Any) -> Line:
    """What the document is made from, of one line. Raises Wrong."""
    row = row_of(line)
    fields = ABOUT.get(row) or {**_OF_ALL_MEASURED, **_figures(row, failed="error" in line)}
    return {"row": row, **fields_of(f"row {shown(row)}: ", line, fields)}


def _figures(row: str, *, failed: bool) -> Fields:
    fields = _OVERLAY if re.fullmatch(r"overlay-[1-9][0-9]{0,6}", row) else _MEASURED.get(row)
    if fields is None:
        raise Wrong(f"row {shown(row)} is none of `make bench`")
    return {"error": TEXT} if failed else fields


def fields_of(where: str, record: Mapping[str, Any], fields: Fields) -> Line:
    """The fields of a record that are wanted, each as it has to be. Raises Wrong."""
    return {name: _field(f"{where}{name}", record.get(name), name in record, kind) for name, kind in fields.items()}


def _field(where: str, value: Any, there: bool, kind: Kind | Fields | Sequence[Fields]) -> Any:
    if isinstance(kind, Kind):
        if kind.holds(value):
            return value
        raise Wrong(f"{where} is to be {kind.text}, not {shown(value)}" if there else f"{where} is missing")
    if not there:
        raise Wrong(f"{where} is missing")
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            raise Wrong(f"{where} is to be an object, not {shown(value)}")
        return fields_of(f"{where}.", value, kind)
    if not isinstance(value, list):
        raise Wrong(f"{where} is to be a list, not {shown(value)}")
    return [_field(f"{where}[{at}]", each, True, kind[0]) for at, each in enumerate(value)]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line, parse_constant=_refused)
    except Wrong:
        raise
    except (ValueError, RecursionError):
        raise Wrong("no JSON") from None


def _refused(name: str) -> NoReturn:
    raise Wrong(f"{name} is no number")


def shown(value: Any) -> str:
    """A value in a complaint about it."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
