"""Errors as JSON says them (RFC 9457), and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kadnet.errors import BY_CODE, Conflict, DataDirInUse, KadnetError, hint_of, meaning
from kadnet.shapes.codec import LEFT_OUT

PROBLEM_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as RFC 9457 has it. `code` is the stable name; `seq` and `pid` stand where the error has them."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    hint: str
    seq: int | None = field(default=None, metadata=LEFT_OUT)
    pid: int | None = field(default=None, metadata=LEFT_OUT)


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
