"""Rules of the house that ruff and import-linter cannot see."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# Of PyNaCl the pure floors may use what takes keys and nonces as bytes (and its errors), never what draws its own.
_PURE_NACL = ("nacl.bindings", "nacl.exceptions")
_DRAWS = "randombytes"
_IGNORE = re.compile(r"#\s*(?:type:\s*ignore\[[^\]]*\]|noqa:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)(?P<reason>.*)$")
_LINES = 400  # about 300 is the aim; a file past this is two ideas


def contract(name: str) -> dict[str, Any]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    found: dict[str, Any] = next(each for each in contracts if each["id"] == name)
    return found


def pure_rooms() -> list[str]:
    rooms: list[str] = contract("pure")["source_modules"]
    return rooms


def rooms_below_transport() -> list[str]:
    """The rooms of floors 1 to 3 that are built, as the layers contract places them."""
    layers: list[str] = contract("floors")["layers"]
    names = [name.strip(" ()") for layer in layers[layers.index("transport") + 1 :] for name in re.split("[:|]", layer)]
    built = [name for name in names if (ROOT / "kadnet" / name).is_dir() or (ROOT / "kadnet" / f"{name}.py").exists()]
    return [f"kadnet.{name}" for name in built]


def pure_files() -> list[Path]:
    files: list[Path] = []
    for room in pure_rooms():
        path = ROOT / room.replace(".", "/")
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return files


def imported(source: str) -> Iterator[str]:
    """Dotted names that a module imports: `from nacl import bindings` is nacl.bindings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def impure_nacl(source: str) -> list[str]:
    return [
        name
        for name in imported(source)
        if name.split(".")[0] == "nacl"
        and (_DRAWS in name or not any(name == pure or name.startswith(f"{pure}.") for pure in _PURE_NACL))
    ]


def unreasoned(source: str) -> list[str]:
    """Lines that silence a checker without saying why."""
    found = [(line, _IGNORE.search(line)) for line in source.splitlines()]
    return [line.strip() for line, match in found if match and len(match["reason"].strip(" #:-")) < 8]


def python_files() -> list[Path]:
    return sorted(file for folder in ("kadnet", "tests") for file in (ROOT / folder).rglob("*.py"))


def test_every_room_below_transport_stands_in_the_pure_contract() -> None:
    assert set(rooms_below_transport()) - set(pure_rooms()) == set()


def test_the_pure_floors_use_only_the_bindings_of_nacl() -> None:
    files = pure_files()
    assert files
    assert {str(file): names for file in files if (names := impure_nacl(file.read_text("utf-8")))} == {}


def test_nacl_beyond_its_bindings_is_seen() -> None:
    assert impure_nacl("from nacl import bindings\nimport nacl.bindings\nfrom nacl.bindings import crypto_sign") == []
    assert impure_nacl("from nacl import signing") == ["nacl.signing"]
    assert impure_nacl("def f():\n    import nacl.utils") == ["nacl.utils"]
    assert impure_nacl("from nacl.bindings import randombytes") == ["nacl.bindings.randombytes"]


def test_whoever_silences_a_checker_says_why() -> None:
    silent = {
        str(file.relative_to(ROOT)): lines for file in python_files() if (lines := unreasoned(file.read_text("utf-8")))
    }
    assert silent == {}


def test_a_silenced_checker_without_a_reason_is_seen() -> None:
    bare = "x = 1  # " + "noqa: E501"
    assert unreasoned(bare) == [bare]
    assert unreasoned(bare + "  # the URL cannot be broken") == []
    bare = "x = 1  # " + "type: ignore[misc]"
    assert unreasoned(bare) == [bare]


def test_no_file_is_longer_than_a_sitting() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in python_files()
        if (lines := file.read_text("utf-8").count("\n")) > _LINES
    }
    assert long == {}
