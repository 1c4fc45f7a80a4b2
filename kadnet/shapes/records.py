"""What goes with records: put, get, and the bytes of a value in JSON."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final, Literal

from kadnet.errors import InputError
from kadnet.shapes.codec import LEFT_OUT

UTF8: Final = "utf-8"
BASE64: Final = "base64"


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
    datagrams_in: int | None = field(default=None, metadata=LEFT_OUT)
    datagrams_out: int | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Found:
    """The values under a key, ours first; none when nobody had one."""

    key: str
    values: tuple[Value, ...]
    lookup: GetStats | None = field(default=None, metadata=LEFT_OUT)


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
