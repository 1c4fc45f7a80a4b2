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


class _Kind(NamedTuple):
    """What a field may hold; one that may hold None may be left out."""

    text: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and (value == 0 or _LEAST <= abs(value) <= _MOST)


def _is_figure(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_count(value: Any) -> bool:
    return type(value) is int and _is_figure(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_figure, value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _or_none(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.text} or null", lambda value: value is None or kind.holds(value))


_FIGURE = _Kind("a number from 0 on", _is_figure)
_CHANGE = _Kind("a number", _is_number)
_COUNT = _Kind("a whole number from 0 on", _is_count)
_TEXT = _Kind("a text", _is_text)
_TEXTS = _Kind("a list of texts", _are_texts)
_REASONS = _Kind("texts by verb", lambda value: isinstance(value, dict) and all(map(_is_text, value.values())))
_LATENCIES = _or_none(_Kind("two numbers from 0 on", _is_pair))
_PEER = _Kind(f"one of {', '.join(LABELS)}", lambda value: _is_text(value) and value in LABELS)
_TRUTH = _Kind("true or false", lambda value: isinstance(value, bool))

_Fields = Mapping[str, "_Kind | _Fields | Sequence[_Fields]"]
"""By name: a kind, an object with fields of its own, or (in a list of one) a list of such objects."""

_ROUND: _Fields = {
    **dict.fromkeys(("gets_per_s", "cpu_ms_per_get", "slowest_ms"), _FIGURE),
    **dict.fromkeys(("asked", "right"), _COUNT),
}
_OVERLAY: _Fields = {
    "build_s": _FIGURE,
    "kib_per_node": _CHANGE,
    "put_ms": _LATENCIES,
    "get_ms": _LATENCIES,
    "flight": [_ROUND],
    "copies": _or_none(_FIGURE),
}
_GETS: _Fields = {
    **dict.fromkeys(("asked", "right"), _COUNT),
    **dict.fromkeys(("p50_ms", "p95_ms", "slowest_ms"), _or_none(_FIGURE)),
}
_ABOUT: dict[str, _Fields] = {
    "machine": {
        **dict.fromkeys(("date", "system", "python"), _TEXT),
        **dict.fromkeys(("cpus", "memory_gib", "repeats"), _COUNT),
        "loopback_only": _TRUTH,
    },
    "about": {
        "peer": _PEER,
        "version": _TEXT,
        "does_not": _TEXTS,
        "measured": _or_none(_TEXTS),
        "cannot": _REASONS,
    },
    "environment": {"peer": _PEER, "error": _TEXT},
}
_MEASURED: dict[str, _Fields] = {
    "kill": {"processes": _COUNT, "killed": _COUNT, "before": _GETS, "after": _GETS},
    "ping": {"per_s": _FIGURE},
    "tasks": {"per_s": _FIGURE},
    **{row: {"per_s": _FIGURE, "mb_per_s": _FIGURE} for row in STREAMS},
    "links": {"warm_us": _FIGURE, "handshakes_per_s": _FIGURE},
    "largest": {"bytes": _COUNT, "refused": _or_none(_COUNT), "how": _TEXT},
    "idle": {"cpu_percent": _FIGURE, "mib_above_imports": _CHANGE},
}
_OF_ALL_MEASURED: _Fields = {"peer": _PEER, "repeat": _COUNT}


def read(source: Path) -> list[Line]:
    """The lines of a file, which may be none. Raises Impossible, which names the file and the line."""
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
                found.append(checked(_parsed(line)))
            except Wrong as reason:
                raise Impossible(f"{source}:{number}: {reason}") from None
    return found


def checked(line: Any) -> Line:
    """What the document is made from, of one line. Raises Wrong."""
    if not isinstance(line, dict):
        raise Wrong("no JSON object")
    row = line.get("row")
    if row is None:
        raise Wrong("it has no row")
    if not isinstance(row, str):
        raise Wrong(f"row is to be a text, not {_shown(row)}")
    fields = _ABOUT.get(row) or {**_OF_ALL_MEASURED, **_figures(row, failed="error" in line)}
    return {"row": row, **_fields(f"row {_shown(row)}: ", line, fields)}


def _figures(row: str, *, failed: bool) -> _Fields:
    fields = _OVERLAY if re.fullmatch(r"overlay-[1-9][0-9]{0,6}", row) else _MEASURED.get(row)
    if fields is None:
        raise Wrong(f"row {_shown(row)} is none of `make bench`")
    return {"error": _TEXT} if failed else fields


def _fields(where: str, record: Mapping[str, Any], fields: _Fields) -> Line:
    return {name: _field(f"{where}{name}", record.get(name), name in record, kind) for name, kind in fields.items()}


def _field(where: str, value: Any, there: bool, kind: _Kind | _Fields | Sequence[_Fields]) -> Any:
    if isinstance(kind, _Kind):
        if kind.holds(value):
            return value
        raise Wrong(f"{where} is to be {kind.text}, not {_shown(value)}" if there else f"{where} is missing")
    if not there:
        raise Wrong(f"{where} is missing")
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            raise Wrong(f"{where} is to be an object, not {_shown(value)}")
        return _fields(f"{where}.", value, kind)
    if not isinstance(value, list):
        raise Wrong(f"{where} is to be a list, not {_shown(value)}")
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


def _shown(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
