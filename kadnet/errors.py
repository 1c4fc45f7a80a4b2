"""Every error a caller can meet, and what each becomes outside Python.

One table, `TABLE`, gives each class a stable code (for JSON and HTTP), an exit code (for the command line), an HTTP
status and a hint (what to do). The command line, the control API and the client all read it, so an error has the same
name wherever it surfaces. Messages are one line: what is wrong and where; the hint says what to do about it.

`ProtocolError` is apart: a peer's fault, raised and counted inside the node, never shown to a person.
"""

from __future__ import annotations

from dataclasses import dataclass


class KadnetError(Exception):
    """The root of what kadnet raises at its callers. `str(error)` is one line."""

    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class InputError(KadnetError, ValueError):
    """Something that was typed or passed in is wrong; the message names the part."""


class DataDirError(KadnetError):
    """The data directory cannot be used as it is."""


class DataDirInUse(DataDirError):
    """Another process runs on this data directory."""

    def __init__(self, path: object, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"data directory {path} is in use by {holder}")
        self.pid = pid


class IdentityMissing(DataDirError):
    """The data directory has no identity yet."""


class IdentityDamaged(DataDirError):
    """identity.json is there and cannot be trusted. It is never overwritten."""


class NoNode(KadnetError):
    """No node runs on this data directory."""


class NotConnected(KadnetError):
    """There was nobody to ask: the node knows no live peer."""


class NotFound(KadnetError):
    """Everybody who should know was asked, and nobody did."""


class NotStored(KadnetError):
    """No other node acknowledged a record; it is kept here and will be stored later."""


class PeerUnreachable(KadnetError):
    """The peer was not found or did not answer."""


class LinkLost(PeerUnreachable):
    """The link broke before the answer came: the peer may have done what was asked, or not."""


class PeerRefused(KadnetError):
    """The peer answered and said no. `reason` is its short code, "" when it gave none."""

    def __init__(self, message: str, *, reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class Conflict(KadnetError):
    """The entry is at another sequence number than the one asked for.

    `seq` is the highest one met, or None when there is no such entry yet.
    """

    def __init__(self, message: str, *, seq: int | None) -> None:
        super().__init__(message)
        self.seq = seq


class TooBusy(KadnetError):
    """The node has as many of this kind to do as it takes on; nothing was done."""


class PortInUse(KadnetError):
    """The address to listen on is taken."""


class NameNotFound(KadnetError):
    """A host name could not be resolved."""


class StorageFailed(KadnetError):
    """The disk did not take a write; what was being stored is not acknowledged."""


class ProtocolError(Exception):
    """A peer broke the protocol. Counted by `reason`, a short stable word, and dropped."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(ProtocolError):
    """Bytes that are not what they claim to be."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one error class means outside Python."""

    code: str
    exit: int
    status: int
    hint: str


TABLE: dict[type[KadnetError], Meaning] = {
    InputError: Meaning("input", 2, 400, "see --help for the form and an example"),
    DataDirInUse: Meaning("data-dir-in-use", 4, 409, "stop that process, or name another --data-dir"),
    IdentityMissing: Meaning("identity-missing", 2, 409, "create one with: kadnet init"),
    IdentityDamaged: Meaning("identity-damaged", 2, 409, "restore it from a backup, or name another --data-dir"),
    DataDirError: Meaning("data-dir", 2, 409, "check the path and its permissions, or name another --data-dir"),
    NoNode: Meaning("no-node", 3, 503, "start one with: kadnet run"),
    NotConnected: Meaning("not-connected", 1, 503, "check the bootstrap addresses in: kadnet status"),
    NotFound: Meaning("not-found", 1, 404, "check the spelling, or whether it has expired"),
    NotStored: Meaning("not-stored", 1, 503, "it is kept here and stored as soon as a peer is met"),
    LinkLost: Meaning("link-lost", 1, 504, "ask again when the peer can be reached"),
    PeerUnreachable: Meaning("peer-unreachable", 1, 504, "check that the peer runs and can be reached"),
    PeerRefused: Meaning("peer-refused", 1, 502, "the peer does not offer this"),
    Conflict: Meaning("conflict", 1, 409, "read the entry again and retry with its seq"),
    TooBusy: Meaning("too-busy", 1, 503, "try again in a moment"),
    PortInUse: Meaning("port-in-use", 2, 409, "name another port with --listen, or port 0 for any free one"),
    NameNotFound: Meaning("name-not-found", 2, 400, "check the host name"),
    StorageFailed: Meaning("storage-failed", 1, 507, "check the free space and the permissions of the data directory"),
    KadnetError: Meaning("error", 1, 500, "see the log of the node"),
}


def meaning(error: type[KadnetError] | KadnetError) -> Meaning:
    """The row of `TABLE` for an error, or for the nearest of its bases that has one."""
    cls = error if isinstance(error, type) else type(error)
    for base in cls.__mro__:
        if base in TABLE:
            return TABLE[base]
    return TABLE[KadnetError]


def hint_of(error: KadnetError) -> str:
    """What the person can do: the error's own hint, else that of its class."""
    return error.hint if error.hint is not None else meaning(error).hint


BY_CODE: dict[str, type[KadnetError]] = {row.code: cls for cls, row in TABLE.items()}
