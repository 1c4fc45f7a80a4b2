"""What the property tests of the wire draw: messages of every kind, records, and valid bytes with a fault in them."""

from __future__ import annotations

from hypothesis import strategies as st

from kadnet.identity.keys import Identity
from kadnet.wire.keys import Key
from kadnet.wire.kinds import OWNED, PRESENCE, SHARED
from kadnet.wire.messages import (
    Carried,
    FindNode,
    FindValue,
    Message,
    Nodes,
    Ping,
    Pong,
    Store,
    Stored,
    Values,
)
from kadnet.wire.records import MAX_EXPIRES, MAX_LEASE, MAX_SEQ, Entry, Record, blob, sign_entry

identities = st.sampled_from([Identity.from_seed(bytes([n]) * 32) for n in range(4)])
networks = st.sampled_from([bytes(32), b"n" * 32])

_ids = st.binary(min_size=8, max_size=8)
_flags = st.integers(0, 2**16 - 1)
_tokens = st.sampled_from([b"", b"t" * 8]) | _ids
_keys = st.binary(min_size=32, max_size=32)
_cursors = st.just(b"") | _keys
_seqs = st.integers(0, MAX_SEQ)
_bytes = st.integers(0, 255)


def _contacts(size: int) -> st.SearchStrategy[bytes]:
    return st.integers(0, 8).flatmap(lambda count: st.binary(min_size=count * size, max_size=count * size))


carried = st.builds(
    Carried,
    _bytes,
    st.binary(max_size=100),
    st.sampled_from([b"", b"s" * 64]),
    st.integers(0, 2**31 - 1),
    st.booleans(),
)
requests = st.one_of(
    st.builds(Ping, _ids, _flags, _tokens),
    st.builds(FindNode, _ids, _flags, _tokens, _keys),
    st.builds(FindValue, _ids, _flags, _tokens, _keys, st.integers(-1, MAX_SEQ), _cursors),
    st.builds(Store, _ids, _flags, _tokens, carried),
)
messages: st.SearchStrategy[Message] = st.one_of(
    requests,
    st.builds(
        Pong,
        _ids,
        _flags,
        _tokens,
        st.sampled_from([6, 18]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
        st.binary(min_size=1, max_size=16),
        st.integers(0, 2**32 - 1),
    ),
    st.builds(Nodes, _ids, _flags, _tokens, _contacts(38), _contacts(50)),
    st.builds(
        Values,
        _ids,
        _flags,
        _tokens,
        _bytes,
        _cursors,
        st.lists(carried, max_size=4).map(tuple),
        _contacts(38),
        _contacts(50),
    ),
    st.builds(Stored, _ids, _flags, _bytes, _seqs),
)

values = st.none() | st.binary(max_size=40) | st.just(bytes(900))


def entries(identity: Identity) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        st.just(identity.public),
        st.sampled_from([Key.shared("a").name_hash, Key.shared("b").name_hash]),
        _seqs,
        st.integers(0, MAX_EXPIRES),
        st.integers(0, MAX_LEASE),
        values,
    )


@st.composite
def signed_records(draw: st.DrawFn) -> tuple[Record, Identity, Entry, bytes]:
    """(record, its publisher, its entry, its network)"""
    identity, network = draw(identities), draw(networks)
    kind = draw(st.sampled_from([SHARED, OWNED, PRESENCE]))
    entry = draw(entries(identity))
    if kind == PRESENCE:
        entry = entry._replace(name_hash=bytes(32))
    return sign_entry(identity, kind, entry, network), identity, entry, network


records = signed_records().map(lambda drawn: drawn[0]) | st.binary(max_size=900).map(blob)


@st.composite
def mutated(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> bytes:
    """Valid bytes to which something small has happened, up to four times."""
    data = bytearray(draw(source))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.sampled_from(["flip", "set", "cut", "insert", "double", "drop"]))
        if what == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif what == "set" and data:
            data[place] = draw(_bytes)
        elif what == "cut":
            del data[place:]
        elif what == "insert":
            data[place:place] = draw(st.binary(max_size=8))
        elif what == "double":
            data[place:place] = data[place:]
        else:
            del data[place : place + draw(st.integers(1, 8))]
    return bytes(data)
