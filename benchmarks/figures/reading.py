"""Lines of `make figures`, from a file or from its scripts: what is none of them is refused.

Three kinds: where it was measured (`machine`), who could not be had (`environment`), and what one side showed in one
row and repeat: figures by name, None for what never came. A curve goes with the worlds that are drawn.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from benchmarks import reading
from benchmarks.figures.sheet import ROWS, SIDES
from benchmarks.metrics import Line
from benchmarks.reading import (
    ABOUT,
    COUNT,
    TEXT,
    TRUTH,
    Fields,
    Kind,
    Wrong,
    fields_of,
    is_number,
    or_none,
    row_of,
    shown,
)


def _are_figures(value: Any) -> bool:
    return isinstance(value, dict) and all(each is None or is_number(each) for each in value.values())


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(point, list) and len(point) == 3 and all(each is None or is_number(each) for each in point)
        for point in value
    )


_SIDE: Final = Kind(f"one of {', '.join(SIDES)}", lambda value: isinstance(value, str) and value in SIDES)
_FIGURES: Final = Kind("numbers or null by name", _are_figures)
_CURVE: Final = or_none(Kind("a list of three numbers or null each", _is_curve))
_WHO: Final[Fields] = {"side": _SIDE, "repeat": COUNT}


def read(source: Path) -> list[Line]:
    """The lines of a file, which may be none. Raises `plan.Impossible`, which names the file and the line."""
    return reading.read(source, checked)


def checked(line: Any) -> Line:
    """What the document is made from, of one line. Raises Wrong."""
    row = row_of(line)
    return {"row": row, **fields_of(f"row {shown(row)}: ", line, _fields(row, line))}


def _fields(row: str, line: Line) -> Fields:
    if row == "machine":
        return {**ABOUT["machine"], **({"quick": TRUTH} if "quick" in line else {})}
    if row == "environment":
        return {"side": _SIDE, "error": TEXT}
    if row not in ROWS:
        raise Wrong(f"row {shown(row)} is none of `make figures`")
    if "error" in line:
        return {**_WHO, "error": TEXT}
    return {**_WHO, "figures": _FIGURES, **({"curve": _CURVE} if "curve" in line else {})}


def plain(figures: dict[str, float]) -> dict[str, float | None]:
    """Figures as JSON has them, six digits each: without those that were not measured, None for what never came."""
    return {
        name: None if math.isinf(value) else float(f"{value:.6g}")
        for name, value in figures.items()
        if not math.isnan(value)
    }
