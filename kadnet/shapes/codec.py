"""Shapes into plain JSON values and back, by their annotations.

What a reader does not know it skips, so an older client can read a newer node; a request is read strictly, since a
name that is not understood is a wish that would not be granted.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Final, Literal, TypeVar

from kadnet.errors import InputError

T = TypeVar("T")

# A field that is missing from the JSON where it does not apply, instead of null.
LEFT_OUT: Final = {"left_out": True}


def named(name: str) -> dict[str, str]:
    """The metadata of a field whose name in the JSON is a word that Python keeps for itself."""
    return {"name": name}


def to_json(shape: Any) -> Any:
    """Plain JSON values: dicts, lists, text, numbers, null."""
    if is_dataclass(shape):
        return {
            _name(f): to_json(value)
            for f in fields(shape)
            if (value := getattr(shape, f.name)) is not None or not f.metadata.get("left_out")
        }
    if isinstance(shape, tuple | list):
        return [to_json(item) for item in shape]
    if isinstance(shape, dict):
        return {name: to_json(value) for name, value in shape.items()}
    return shape


def from_json(cls: type[T], data: Any, *, strict: bool = False) -> T:
    """A shape from plain JSON values. InputError names the field that is missing, wrong or (`strict`) unknown."""
    if not isinstance(data, dict):
        raise InputError(f"a JSON object is needed here, not {_kind(data)}")
    hints = _hints(typing.cast(Any, cls))
    parts = fields(cls)  # type: ignore[arg-type]  # any dataclass; typeshed has no bound for it
    if strict:
        known = [_name(f) for f in parts]
        unknown = sorted(str(name) for name in data if name not in known)
        if unknown:
            raise InputError(f"unknown field {unknown[0]!r}", hint=f"known here: {', '.join(known)}")
    values: dict[str, Any] = {}
    for f in parts:
        name = _name(f)
        if name in data:
            values[f.name] = _read(hints[f.name], data[name], name)
        elif f.default is MISSING:
            raise InputError(f"field {name!r} is missing")
    return cls(**values)


def list_from_json(cls: type[T], data: Any) -> list[T]:
    """A list of shapes."""
    if not isinstance(data, list):
        raise InputError(f"a JSON list is needed here, not {_kind(data)}")
    return [from_json(cls, item) for item in data]


def _name(part: dataclasses.Field[Any]) -> str:
    name: str = part.metadata.get("name", part.name)
    return name


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _read(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin is types.UnionType or origin is typing.Union:
        if value is None:
            return None
        return _read(typing.get_args(hint)[0], value, name)
    if origin is tuple:
        return tuple(_read(typing.get_args(hint)[0], item, name) for item in _need(list, value, name))
    if origin is dict:
        return dict(_need(dict, value, name))
    if origin is Literal:
        return _one_of(typing.get_args(hint), value, name)
    if is_dataclass(hint):
        return from_json(typing.cast(type[Any], hint), value)
    if hint is float and type(value) is int:
        return float(value)
    return _need(hint, value, name)


def _need(kind: type[T], value: Any, name: str) -> T:
    if type(value) is not kind:  # exactly: True is no number
        raise InputError(f"field {name!r} must be {_WORDS[kind]}, not {_kind(value)}")
    return value


def _one_of(allowed: Iterable[Any], value: Any, name: str) -> Any:
    if value not in allowed:
        raise InputError(f"field {name!r} must be one of {', '.join(map(repr, allowed))}")
    return value


_WORDS: dict[type[Any], str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _kind(value: Any) -> str:
    return "null" if value is None else _WORDS.get(type(value), "something else")
