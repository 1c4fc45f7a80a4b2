"""The JSON of every verb, written once: what the node says, what the client reads, what `--json` prints.

A shape is a frozen dataclass; `to_json` and `from_json` turn it into plain JSON values and back by its annotations.
The names of fields are a contract (SemVer, with the command line). Times are Unix seconds, durations are seconds
unless the name ends in `_ms`. `network`, `records` and `messages` have the shapes of their verbs, `problems` those of
errors, `codec` does the turning.

Pure, and quick to import: every short command begins with it.
"""

from kadnet.shapes.codec import from_json, list_from_json, to_json
from kadnet.shapes.messages import (
    BookEntry,
    ContactRequest,
    DeliveryRequest,
    InboxRequest,
    Message,
    NameRequest,
    OutboxRequest,
    Outgoing,
    ResolveRequest,
    SendRequest,
    Sent,
    Who,
)
from kadnet.shapes.network import (
    BootstrapState,
    Bucket,
    LookupRequest,
    Peer,
    PingRequest,
    Place,
    Pong,
    Query,
    Ready,
    Status,
    Walked,
)
from kadnet.shapes.problems import PROBLEM_TYPE, Problem, error_of, problem_of
from kadnet.shapes.records import (
    BASE64,
    UTF8,
    Found,
    GetRequest,
    GetStats,
    PutRequest,
    Stored,
    Value,
    decode_value,
    encode_value,
)

__all__ = [
    "BASE64",
    "PROBLEM_TYPE",
    "UTF8",
    "BookEntry",
    "BootstrapState",
    "Bucket",
    "ContactRequest",
    "DeliveryRequest",
    "Found",
    "GetRequest",
    "GetStats",
    "InboxRequest",
    "LookupRequest",
    "Message",
    "NameRequest",
    "OutboxRequest",
    "Outgoing",
    "Peer",
    "PingRequest",
    "Place",
    "Pong",
    "Problem",
    "PutRequest",
    "Query",
    "Ready",
    "ResolveRequest",
    "SendRequest",
    "Sent",
    "Status",
    "Stored",
    "Value",
    "Walked",
    "Who",
    "decode_value",
    "encode_value",
    "error_of",
    "from_json",
    "list_from_json",
    "problem_of",
    "to_json",
]
