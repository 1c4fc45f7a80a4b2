"""How the pictures of kadnet look, and how they are written: one style for `kadnet sim` and for the benchmarks.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any common colour blindness can
tell apart; lines differ in their dashes as well. Ours is the thick one. A file depends on nothing but what is drawn: no
date, no chance, and text stays text.

matplotlib is an extra (`pip install 'kadnet[plot]'`, in a clone `pip install '.[plot]'`) and is imported when a picture
is asked for.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kadnet.errors import InputError, KadnetError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES: Final = (".svg", ".png")
_LONGEST_NAME: Final = 255  # bytes, on the file systems there are
GREY: Final = "#6b6b6b"
OURS: Final = "kadnet"

RC: Final[Any] = {  # a dict whose keys matplotlib has typed one by one since 3.11
    "svg.hashsalt": "kadnet",  # else every run would name its shapes differently
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one thing is drawn wherever it is drawn. `dashes`: a line style of matplotlib."""

    colour: str
    dashes: str | tuple[float, tuple[float, ...]]
    width: float
    layer: float


_OURS: Final = Look("#0072b2", "-", 2.8, 4)
_OTHERS: Final = (
    Look("#d55e00", (0, (6, 1.6)), 1.6, 3),
    Look("#009e73", (0, (3, 1.2)), 1.6, 3),
    Look("#cc79a7", (0, (6, 1.4, 1.2, 1.4)), 1.6, 3),
    Look("#e69f00", (0, (1.2, 1.0)), 1.8, 3),
    Look("#56b4e9", (0, (8, 1.4, 1.2, 1.4, 1.2, 1.4)), 1.6, 3),
)


def looks(names: list[str]) -> dict[str, Look]:
    """A look for each name in its order; kadnet's own is the same in every picture."""
    others = [name for name in names if name != OURS]
    given = {name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)}
    return {name: _OURS if name == OURS else given[name] for name in names}


def check(path: Path) -> None:
    """InputError unless a picture can be drawn and written there: to be asked before the work that it shows."""
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise InputError("the name of the picture is too long for a file", hint="name it out.svg, for example")
    if path.is_dir():
        raise InputError(f"{path} is a folder", hint="name a file in it, out.svg for example")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"a picture is .svg or .png, which {path.name!r} is not", hint="name it out.svg, for example")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write a picture into {path.parent}: {error.strerror or error}", hint="choose another folder"
        ) from None
    try:
        importlib.import_module("matplotlib.figure")  # a broken installation shows itself now, not after an hour
    except (ImportError, AttributeError, OSError, RuntimeError, ValueError):  # missing, or unfit for this machine
        raise InputError(
            "drawing needs matplotlib, which cannot be imported here",
            hint="pip install 'kadnet[plot]', or in a clone pip install '.[plot]'",
        ) from None


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn inside looks like ours, whatever the person's own settings of matplotlib are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def save(figure: Figure, path: Path) -> None:
    """Write the picture, whole or not at all. KadnetError when the disk refuses. Only inside `styled`."""
    kind = path.suffix[1:].lower()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    path = path.resolve()  # a link stays one
    part = path.with_name(f".kadnet-{os.getpid()}{path.suffix}")
    try:
        figure.savefig(part, format=kind, metadata=metadata, dpi=150)
        os.replace(part, path)
    except OSError as error:
        raise KadnetError(f"cannot write {path}: {error.strerror or error}", hint="choose another --plot") from None
    finally:
        with suppress(OSError):
            part.unlink()
