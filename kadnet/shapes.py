"""The JSON of every verb, written once: what the node says, what the client reads, what `--json` prints.

A shape is a frozen dataclass; `to_json` and `from_json` turn it into plain JSON values and back by its annotations.
The names of fields are a contract (SemVer, with the command line). Times are Unix seconds, durations are seconds
unless the name ends in `_ms`. What a reader does not know it skips, so an older client can read a newer node; a
request is read strictly, since a name that is not understood is a wish that would not be granted.

Pure, and quick to import: every short command begins with it.
"""

from __future__ import annotations

import base64
import binascii
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar

from kadnet.errors import BY_CODE, Conflict, DataDirInUse, InputError, KadnetError, hint_of, meaning

T = TypeVar("T")

UTF8: typing.Final = "utf-8"
BASE64: typing.Final = "base64"
PROBLEM_TYPE = "application/problem+json"


# A field that is missing from the JSON where it does not apply, instead of null.
_LEFT_OUT = {"left_out": True}


# --------------------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class PutRequest:
    """`key` as typed on the command line ("blob:" computes the address). `ttl` seconds; `if_seq` 0: there is none."""

    key: str
    value: str
    encoding: str = UTF8
    ttl: int | None = None
    if_seq: int | None = None


@dataclass(frozen=True, slots=True)
class GetRequest:
    key: str
    stats: bool = False


@dataclass(frozen=True, slots=True)
class PingRequest:
    who: str


@dataclass(frozen=True, slots=True)
class LookupRequest:
    target: str


# ---------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put came to: `replicas` other nodes acknowledged it, of `wanted`."""

    key: str
    seq: int
    replicas: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Value:
    """One value under a key. `publisher`, `seq` and `expires` are null for a blob."""

    value: str
    encoding: str
    publisher: str | None
    seq: int | None
    expires: int | None

    @property
    def data(self) -> bytes:
        """The bytes. InputError when `value` is not what `encoding` says."""
        return decode_value(self.value, self.encoding)


@dataclass(frozen=True, slots=True)
class GetStats:
    """What a get took. `answered_by` "self": nobody was asked. Datagrams are those of the whole node meanwhile."""

    answered_by: Literal["network", "self"]
    queries: int
    hops: int
    ms: float
    datagrams_in: int | None = field(default=None, metadata=_LEFT_OUT)
    datagrams_out: int | None = field(default=None, metadata=_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Found:
    """The values under a key, ours first; none when nobody had one."""

    key: str
    values: tuple[Value, ...]
    lookup: GetStats | None = field(default=None, metadata=_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class BootstrapState:
    """One bootstrap address: `problem` is what went wrong the last time it was tried."""

    address: str
    answered: bool
    problem: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Status:
    """How a node fares. `uptime` seconds; `records` held for the overlay, `published` its own; `counters` by room."""

    id: str
    address: str
    version: str
    uptime: float
    peers: int
    links: int
    records: int
    published: int
    serves: bool
    joined: bool
    replicas: int
    network: str
    bootstrap: tuple[BootstrapState, ...]
    notes: tuple[str, ...]
    counters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """A live contact. `rtt_ms` null: not measured. `checks`: passed in a row; `fast`: it is still checked often."""

    id: str
    address: str
    rtt_ms: float | None
    added_at: float
    answered_at: float
    checks: int
    fast: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A node and where it answers."""

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """Those who share `index` leading bits with us; `replacements` wait for a place, stalest first."""

    index: int
    family: int
    entries: tuple[Peer, ...]
    replacements: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Pong:
    """Who answered a ping, where, and how fast."""

    id: str
    address: str
    rtt_ms: float


@dataclass(frozen=True, slots=True)
class Query:
    """One peer of a walk. `hop` 1 was known beforehand; `brought`: contacts new to the walk that it named."""

    hop: int
    id: str
    address: str
    attempts: int
    started_ms: float
    rtt_ms: float | None
    state: str
    brought: int


@dataclass(frozen=True, slots=True)
class Walked:
    """A walk towards `target` (64 hexadecimal digits): the live nodes closest to it, and what it took."""

    target: str
    closest: tuple[Place, ...]
    reason: str
    hops: int
    queries: int
    answers: int
    ms: float
    trace: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The first line of `kadnet run --json`."""

    event: str
    id: str
    address: str
    control: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as RFC 9457 has it. `code` is the stable name; `seq` and `pid` stand where the error has them."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    hint: str
    seq: int | None = field(default=None, metadata=_LEFT_OUT)
    pid: int | None = field(default=None, metadata=_LEFT_OUT)


def problem_of(error: KadnetError) -> Problem:
    """An error as JSON says it."""
    row = meaning(error)
    return Problem(
        type=f"urn:kadnet:problem:{row.code}",
        code=row.code,
        title=row.code.replace("-", " "),
        status=row.status,
        detail=str(error),
        hint=hint_of(error),
        seq=error.seq if isinstance(error, Conflict) else None,
        pid=error.pid if isinstance(error, DataDirInUse) else None,
    )


def error_of(problem: Problem) -> KadnetError:
    """The error that `problem` was made from; a code from a newer node becomes a plain KadnetError."""
    cls = BY_CODE.get(problem.code, KadnetError)
    if issubclass(cls, Conflict):
        error: KadnetError = cls(problem.detail, seq=problem.seq)
        error.hint = problem.hint
        return error
    if issubclass(cls, DataDirInUse):
        in_use = cls.__new__(cls)  # its own constructor makes up the message
        KadnetError.__init__(in_use, problem.detail, hint=problem.hint)
        in_use.pid = problem.pid
        return in_use
    return cls(problem.detail, hint=problem.hint)


# ----------------------------------------------------------------------------------------------------------- values


def encode_value(data: bytes) -> tuple[str, str]:
    """(text, "utf-8") when the bytes are text without a NUL, else (base64, "base64")."""
    if b"\0" not in data:
        try:
            return data.decode(), UTF8
        except UnicodeDecodeError:
            pass
    return base64.b64encode(data).decode("ascii"), BASE64


def decode_value(value: str, encoding: str) -> bytes:
    """The bytes of a value as `encode_value` gives it. InputError saying what is wrong."""
    if encoding == UTF8:
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise InputError("the value is not text that UTF-8 can carry", hint="send bytes as base64") from None
    if encoding == BASE64:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):  # ValueError: characters beyond ASCII
            raise InputError("the value is not base64") from None
    raise InputError(f"encoding must be {UTF8!r} or {BASE64!r}, not {encoding!r}")


# ------------------------------------------------------------------------------------------------------------- JSON


def to_json(shape: Any) -> Any:
    """Plain JSON values: dicts, lists, text, numbers, null."""
    if is_dataclass(shape):
        return {
            f.name: to_json(value)
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
    if strict:
        unknown = sorted(str(name) for name in data if name not in hints)
        if unknown:
            raise InputError(f"unknown field {unknown[0]!r}", hint=f"known here: {', '.join(hints)}")
    values: dict[str, Any] = {}
    for f in fields(cls):  # type: ignore[arg-type]  # any dataclass; typeshed has no bound for it
        if f.name in data:
            values[f.name] = _read(hints[f.name], data[f.name], f.name)
        elif f.default is MISSING:
            raise InputError(f"field {f.name!r} is missing")
    return cls(**values)


def list_from_json(cls: type[T], data: Any) -> list[T]:
    """A list of shapes."""
    if not isinstance(data, list):
        raise InputError(f"a JSON list is needed here, not {_kind(data)}")
    return [from_json(cls, item) for item in data]


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
