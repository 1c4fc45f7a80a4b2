"""The settings file: tables of TOML in, frozen settings out.

Pure: it is given the file's text or its parsed tables and never opens a file. A room describes what can be set as a
frozen dataclass whose fields have defaults; `section` fills it and refuses what it does not know, naming the nearest
name that it does. Which sections there are is for the caller to say.
"""

from __future__ import annotations

import difflib
import reprlib
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from kadnet.errors import InputError
from kadnet.identity.text import printable

T = TypeVar("T")
_FORM = "a settings file is TOML: [section] and name = value"


def parse(text: str, *, where: str = "config.toml") -> dict[str, Any]:
    """The tables of a settings file. Raises InputError with the line when it is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{where}: too deeply nested", hint=_FORM) from None
    except ValueError as error:  # TOMLDecodeError, and what int() says of a number with thousands of digits
        raise InputError(f"{where}: {printable(str(error))}", hint=_FORM) from None


def check_sections(tables: Mapping[str, Any], known: Iterable[str], *, where: str = "config.toml") -> None:
    """Refuse top-level names that no room has."""
    names = sorted(known)
    for name, value in tables.items():
        if name not in names:
            if not isinstance(value, dict):
                sections = " or ".join(f"[{one}]" for one in names)
                raise InputError(
                    f"{where}: {printable(name, 60)} stands in no section", hint=f"put it below {sections}"
                )
            raise InputError(f"{where}: unknown section [{printable(name, 60)}]", hint=_nearest(name, names))
        _check_table(value, name, where)


def section(tables: Mapping[str, Any], name: str, cls: type[T], *, where: str = "config.toml") -> T:
    """The section `name` as an instance of the frozen dataclass `cls`; absent names keep their defaults.

    Raises InputError for an unknown name (with the nearest known one), a wrong type, or a value that the class
    itself refuses in `__post_init__` with ValueError.
    """
    given = tables.get(name, {})
    _check_table(given, name, where)
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]  # any dataclass; typeshed has no bound for it
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise InputError(f"{where}: unknown name {key!r} in [{name}]", hint=_nearest(key, sorted(known)))
        values[key] = _coerce(value, hints[key], f"{where}: {key} in [{name}]")
    for key, field in known.items():
        if key not in values and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{where}: [{name}] needs {key}")
    try:
        return cls(**values)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: [{name}] {error}", hint="see the settings in the documentation") from None


def _check_table(value: object, name: str, where: str) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{where}: [{name}] must be a section", hint=f"write [{name}] on a line of its own")


def _coerce(value: Any, hint: Any, what: str) -> Any:
    """TOML's value as the field's type, without guessing: only int widens to float and a list becomes a tuple."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        return _coerce(value, arms[0], what)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{what} must be a list")
        item = typing.get_args(hint)[0]
        return tuple(_coerce(part, item, what) for part in value)
    if origin is typing.Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            words = ", ".join(repr(word) for word in allowed)
            raise InputError(f"{what} must be one of {words}, not {reprlib.repr(value)}")
        return value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{what} must be {_WORDS.get(hint, hint)}, not {reprlib.repr(value)}")
    return value


_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
