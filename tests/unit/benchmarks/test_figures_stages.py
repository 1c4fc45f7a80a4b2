"""What a profile is made of goes to the stage whose work it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT
from benchmarks.figures.stages import _FILES, by_stage

_WALK = ("/there/kadnet/overlay/walk.py", 10, "ask")
_MAIN = ("/there/benchmarks/figures/gets.py", 5, "getter")


def test_a_function_counts_for_the_stage_of_its_file() -> None:
    stats: dict[Any, Any] = {_WALK: (1, 1, 2.0, 9.0, {}), _MAIN: (1, 1, 1.0, 9.0, {})}
    assert by_stage(stats) == {"the walk: whom to ask next": 2.0, "the measuring itself and the rest": 1.0}


def test_a_built_in_counts_for_whoever_called_it_unless_it_is_a_stage_of_its_own() -> None:
    callers = {_WALK: (1, 1, 0.5, 0.5), _MAIN: (1, 1, 0.25, 0.25)}
    stats: dict[Any, Any] = {
        ("~", 0, "<built-in method builtins.len>"): (2, 2, 0.75, 0.75, callers),
        ("~", 0, "<built-in method gc.collect>"): (1, 1, 9.0, 9.0, {_MAIN: (1, 1, 9.0, 9.0)}),
        ("<string>", 2, "__init__"): (1, 1, 0.5, 0.5, {_WALK: (1, 1, 0.5, 0.5)}),
        ("~", 0, "<method 'sendto' of '_socket.socket' objects>"): (2, 2, 3.0, 3.0, {_WALK: (2, 2, 3.0, 3.0)}),
    }
    assert by_stage(stats) == {
        "the walk: whom to ask next": 1.0,
        "the measuring itself and the rest": 0.25,
        "sending and receiving": 3.0,
    }


def test_every_part_of_a_path_of_ours_is_there() -> None:
    ours = [part for _, parts in _FILES for part in parts if part.startswith("kadnet/")]
    missing = [part for part in ours if not (ROOT / part).exists() and not Path(f"{ROOT / part}.py").exists()]
    assert missing == []
