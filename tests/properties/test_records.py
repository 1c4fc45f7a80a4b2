"""Records: one order everywhere, signatures that cover all they must, lives that never grow."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from kadnet.errors import Malformed
from kadnet.identity.keys import Identity
from kadnet.wire.kinds import CLOCK_TOLERANCE, KINDS, MAX_EXPIRES_AHEAD, OWNED
from kadnet.wire.records import Entry, Record, is_authentic, is_current, parse, remaining_at_most, sign_entry
from tests.properties import strategies

ALICE = Identity.from_seed(b"a" * 32)
Drawn = tuple[Record, Identity, Entry, bytes]
close = st.integers(0, 2)
few = st.builds(
    Entry, st.just(ALICE.public), st.just(bytes(32)), close, close, close, st.sampled_from([None, b"", b"x"])
)


@given(st.lists(few, min_size=1, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_entries_of_one_publisher_have_a_strict_total_order(entries: list[Entry], rng: random.Random) -> None:
    parsed = [parse(sign_entry(ALICE, OWNED, entry, bytes(32))) for entry in entries]
    ordered = sorted(parsed, key=lambda one: one.rank)
    for lower, higher in itertools.pairwise(ordered):
        assert lower.rank < higher.rank
        first, second = lower.entry, higher.entry
        assert first is not None
        assert second is not None
        assert first.seq <= second.seq
        if first.seq == second.seq:
            assert first.value is not None or second.value is None
            if (first.value is None) == (second.value is None):
                assert first.expires <= second.expires
                if first.expires == second.expires:
                    assert lower.record.signature > higher.record.signature
    rng.shuffle(parsed)
    assert max(parsed, key=lambda one: one.rank) == ordered[-1]


@given(strategies.signed_records())
def test_what_is_signed_reads_back_and_is_authentic(drawn: Drawn) -> None:
    record, identity, entry, network = drawn
    parsed = parse(record)
    assert (parsed.entry, parsed.publisher, parsed.value) == (entry, identity.public, entry.value)
    assert is_authentic(parsed, network)


@given(strategies.signed_records(), st.data())
def test_a_signature_covers_network_kind_and_payload(drawn: Drawn, data: st.DataObject) -> None:
    record, _, _, network = drawn
    assert not is_authentic(parse(record), bytes(reversed(network[:-1] + b"\x01")))
    for kind in KINDS.values():
        if kind.signed and kind.number != record.kind:
            assert not authentic(record._replace(kind=kind.number), network)
    changed = data.draw(strategies.mutated(st.just(record.payload)))
    if changed != record.payload:
        assert not authentic(record._replace(payload=changed), network)
    signature = bytearray(record.signature)
    signature[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    assert not authentic(record._replace(signature=bytes(signature)), network)


def authentic(record: Record, network: bytes) -> bool:
    try:
        return is_authentic(parse(record), network)
    except Malformed:
        return False


@given(strategies.signed_records(), st.floats(0, 2**41))
def test_an_entry_is_current_within_its_bounds_and_no_longer(drawn: Drawn, wall: float) -> None:
    record, _, entry, _ = drawn
    late = entry.expires + CLOCK_TOLERANCE <= wall
    early = entry.expires > wall + MAX_EXPIRES_AHEAD + CLOCK_TOLERANCE
    assert is_current(parse(record), wall) is not (late or early)


@given(strategies.records, st.lists(st.floats(0, 2**31), min_size=1, max_size=6), st.floats(0, 2**41))
def test_what_remains_never_grows_from_hand_to_hand(record: Record, passed: list[float], wall: float) -> None:
    parsed, remaining = parse(record), 2.0**31
    for seconds in passed:
        before = remaining
        remaining = remaining_at_most(parsed, remaining, wall)
        assert 0 <= remaining <= before
        assert remaining <= parsed.lease <= KINDS[record.kind].max_lease + KINDS[record.kind].max_tombstone
        if parsed.entry is not None:
            assert remaining <= max(0.0, parsed.entry.expires - wall + CLOCK_TOLERANCE)
        wall += seconds
        remaining = max(0.0, remaining - seconds)
