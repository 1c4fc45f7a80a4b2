import itertools
import random
from typing import Any

import msgpack
import pytest

from kadnet.errors import Malformed
from kadnet.identity.keys import verify
from kadnet.wire import keys, records
from kadnet.wire.kinds import BLOB, DAY, HOUR, LETTER, OWNED, PRESENCE, SHARED
from kadnet.wire.records import Entry, Record, UnknownKind, is_authentic, is_current, parse, remaining_at_most
from tests.unit.wire.samples import ALICE, BOB, ENTRY, NOW, PRIVATE, PUBLIC, RECORDS, signed
from tests.vectors_plugin import CheckVectors


def test_records_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for name, record in RECORDS.items():
        vector = {"record": name, "kind": str(record.kind), "key": parse(record).key.hex()}
        entry = parse(record).entry
        if entry is not None:
            vector["publisher seed"] = ALICE.seed.hex()
            vector["network"] = (PRIVATE if "private" in name else PUBLIC).hex()
            vector |= {"seq": str(entry.seq), "expires": str(entry.expires), "lease": str(entry.lease)}
            vector["name hash"] = entry.name_hash.hex()
            vector["signature"] = record.signature.hex()
        made.append({**vector, "hex": record.payload.hex()})
    vectors("records", made)


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_reads_back_and_is_authentic_on_its_network(name: str) -> None:
    parsed = parse(RECORDS[name])
    assert parsed.record == RECORDS[name]
    network, other = (PRIVATE, PUBLIC) if "private" in name else (PUBLIC, PRIVATE)
    assert is_authentic(parsed, network)
    assert is_authentic(parsed, other) is (parsed.entry is None)


def test_an_entry_is_signed_as_the_protocol_spells() -> None:
    record = signed(OWNED, network=PRIVATE)
    fields = [ENTRY.publisher, ENTRY.name_hash, ENTRY.seq, ENTRY.expires, ENTRY.lease, ENTRY.value]
    assert record.payload == msgpack.packb(fields)
    assert verify(ALICE.public, b"kadnet record/1" + PRIVATE + b"\x03" + record.payload, record.signature)


def test_what_is_read_is_what_was_written() -> None:
    parsed = parse(signed(SHARED))
    assert parsed.entry == ENTRY
    assert (parsed.publisher, parsed.seq, parsed.expires) == (ALICE.public, ENTRY.seq, ENTRY.expires)
    assert (parsed.value, parsed.lease) == (b"blue", DAY)
    assert parse(RECORDS["owned tombstone"]).value is None
    blob = parse(RECORDS["blob"])
    assert (blob.entry, blob.publisher, blob.seq, blob.expires, blob.value) == (None, b"", 0, 0, b"hello")


def test_the_key_is_recomputed_from_the_record() -> None:
    assert parse(RECORDS["blob"]).key == keys.blob_key(b"hello")
    assert parse(signed(SHARED)).key == keys.Key.shared("color").hash
    assert parse(signed(OWNED)).key == keys.Key.owned(ALICE.public, "color").hash
    assert parse(RECORDS["presence"]).key == keys.Key.presence(ALICE.public).hash


def test_the_signature_covers_kind_network_and_payload() -> None:
    record = signed(SHARED)
    assert is_authentic(parse(record), PUBLIC)
    assert not is_authentic(parse(record), PRIVATE)
    assert not is_authentic(parse(record._replace(kind=OWNED)), PUBLIC)
    for place in range(len(record.payload)):
        payload = bytearray(record.payload)
        payload[place] ^= 1
        try:
            parsed = parse(record._replace(payload=bytes(payload)))
        except Malformed:
            continue
        assert not is_authentic(parsed, PUBLIC)


def test_a_signature_of_somebody_else_is_not_authentic() -> None:
    forged = signed(OWNED, ENTRY._replace(publisher=BOB.public), by=BOB)._replace(payload=signed(OWNED).payload)
    assert not is_authentic(parse(forged), PUBLIC)


def test_nobody_signs_for_another() -> None:
    with pytest.raises(ValueError, match="its publisher"):
        records.sign_entry(BOB, OWNED, ENTRY, PUBLIC)


def test_another_encoding_of_the_same_entry_has_another_signature() -> None:
    record = signed(OWNED)
    longer = b"\xdc\x00\x06" + record.payload[1:]  # the array header in three bytes
    assert parse(record._replace(payload=longer)).entry == ENTRY
    assert not is_authentic(parse(record._replace(payload=longer)), PUBLIC)


def entry_record(*fields: object, kind: int = OWNED) -> Record:
    return Record(kind, msgpack.packb(fields), bytes(64))


GOOD = tuple(ENTRY)


def but(place: int, value: object) -> Record:
    fields: tuple[Any, ...] = (*GOOD[:place], value, *GOOD[place + 1 :])
    return entry_record(*fields)


BAD_RECORDS: dict[str, tuple[Record, str]] = {
    "kind 0": (Record(0, b"", b""), "unknown-kind"),
    "a letter, not yet known": (Record(LETTER, b"", bytes(64)), "unknown-kind"),
    "kind 255": (Record(255, b"", b""), "unknown-kind"),
    "a signed blob": (Record(BLOB, b"x", bytes(64)), "record-signature"),
    "a blob of 901 bytes": (Record(BLOB, bytes(901), b""), "record-size"),
    "an entry without a signature": (entry_record(*GOOD)._replace(signature=b""), "record-signature"),
    "a signature of 65 bytes": (entry_record(*GOOD)._replace(signature=bytes(65)), "record-signature"),
    "a payload out of all bounds": (Record(OWNED, bytes(1029), bytes(64)), "record-size"),
    "a value of 901 bytes": (but(5, bytes(901)), "record-size"),
    "no msgpack": (Record(OWNED, b"\xc1", bytes(64)), "record-encoding"),
    "no payload": (Record(OWNED, b"", bytes(64)), "record-encoding"),
    "bytes behind": (Record(OWNED, entry_record(*GOOD).payload + b"\0", bytes(64)), "record-encoding"),
    "nested too deep": (Record(OWNED, b"\x91" * 1027 + b"\xc0", bytes(64)), "record-encoding"),
    "a map": (Record(OWNED, b"\x81\x01\x02", bytes(64)), "record-encoding"),
    "an empty map": (Record(OWNED, b"\x80", bytes(64)), "record-shape"),
    "five fields": (entry_record(*GOOD[:5]), "record-shape"),
    "seven fields": (entry_record(*GOOD, None), "record-shape"),
    "a publisher of 31 bytes": (but(0, bytes(31)), "record-publisher"),
    "a publisher that is text": (but(0, "x" * 32), "record-publisher"),
    "a name hash of 33 bytes": (but(1, bytes(33)), "record-name"),
    "a presence with a name": (entry_record(*GOOD, kind=PRESENCE), "record-name"),
    "a seq of 2^63": (but(2, 2**63), "record-number"),
    "a seq below zero": (but(2, -1), "record-number"),
    "a seq that is a bool": (but(2, True), "record-number"),
    "a seq that is a float": (but(2, 7.0), "record-number"),
    "an expires of 2^40": (but(3, 2**40), "record-number"),
    "an expires that is a bool": (but(3, False), "record-number"),
    "an expires that is nil": (but(3, None), "record-number"),
    "a lease of 2^31": (but(4, 2**31), "record-number"),
    "a lease that is a float": (but(4, 0.5), "record-number"),
    "a value that is text": (but(5, "blue"), "record-value"),
    "a value that is a number": (but(5, 0), "record-value"),
    "a value that is an array": (but(5, ()), "record-value"),
    "a value that is false": (but(5, False), "record-value"),
}


@pytest.mark.parametrize("what", BAD_RECORDS)
def test_a_bad_record_is_refused_for_the_reason_it_deserves(what: str) -> None:
    record, reason = BAD_RECORDS[what]
    with pytest.raises(Malformed) as caught:
        parse(record)
    assert caught.value.reason == reason
    assert isinstance(caught.value, UnknownKind) is (reason == "unknown-kind")


def test_the_largest_payload_of_the_largest_numbers_is_taken() -> None:
    assert parse(RECORDS["owned, most"]).value == bytes([255]) * 900
    assert parse(Record(BLOB, bytes(900), b"")).value == bytes(900)


def ranked(seq: int = 7, expires: int = NOW, value: bytes | None = b"") -> records.Parsed:
    return parse(signed(OWNED, Entry(ALICE.public, bytes(32), seq, expires, HOUR, value)))


def test_a_higher_seq_wins_over_everything() -> None:
    assert ranked(8, 0).rank > ranked(7, NOW + DAY).rank
    assert ranked(8, 0).rank > ranked(7, NOW + DAY, None).rank


def test_of_one_seq_the_tombstone_wins_then_the_later_expiry() -> None:
    assert ranked(7, 0, None).rank > ranked(7, NOW).rank
    assert ranked(7, NOW + 1).rank > ranked(7, NOW).rank
    assert ranked(7, NOW + 1, None).rank > ranked(7, NOW, None).rank


def test_at_last_the_smaller_signature_wins() -> None:
    same = sorted((ranked(value=bytes([n])) for n in range(20)), key=lambda parsed: parsed.rank)
    signatures = [parsed.record.signature for parsed in same]
    assert signatures == sorted(signatures, reverse=True)


def test_the_order_is_strict_and_total() -> None:
    entries = [ranked(seq, expires, value) for seq in (0, 7, 8) for expires in (0, NOW) for value in (b"", b"x", None)]
    for one, other in itertools.combinations(entries, 2):
        assert (one.rank < other.rank) is not (other.rank < one.rank)
    order = sorted(entries, key=lambda parsed: parsed.rank)
    for _ in range(5):
        random.Random(5).shuffle(entries)
        assert sorted(entries, key=lambda parsed: parsed.rank) == order


@pytest.mark.parametrize(
    ("expires", "current"),
    [
        (NOW - HOUR, False),
        (NOW - HOUR + 1, True),
        (NOW, True),
        (NOW + 7 * DAY + HOUR, True),
        (NOW + 7 * DAY + HOUR + 1, False),
        (0, False),
        (records.MAX_EXPIRES, False),
    ],
)
def test_an_entry_is_current_for_seven_days_give_or_take_an_hour(expires: int, current: bool) -> None:
    assert is_current(ranked(expires=expires), NOW) is current


def test_a_blob_is_always_current() -> None:
    assert is_current(parse(RECORDS["blob"]), 0.0)
    assert is_current(parse(RECORDS["blob"]), 1e12)


def leased(kind: int, lease: int, value: bytes | None = b"") -> records.Parsed:
    name = bytes(32)
    return parse(signed(kind, Entry(ALICE.public, name, 7, NOW + 7 * DAY, lease, value)))


@pytest.mark.parametrize(
    ("kind", "lease", "value", "counted"),
    [
        (SHARED, 30, b"", 30),
        (SHARED, 7 * DAY, b"", DAY),
        (SHARED, 7 * DAY, None, 7 * DAY),
        (SHARED, 8 * DAY, None, 7 * DAY),
        (OWNED, 8 * DAY, b"", 7 * DAY),
        (OWNED, 60, None, 60),
        (PRESENCE, records.MAX_LEASE, b"", 7 * DAY),
        (OWNED, 0, b"", 0),
    ],
)
def test_a_lease_is_never_longer_than_its_kind_allows(kind: int, lease: int, value: bytes | None, counted: int) -> None:
    assert leased(kind, lease, value).lease == counted
    assert remaining_at_most(leased(kind, lease, value), 2**31, NOW) == counted


def test_a_blob_lives_seven_days() -> None:
    assert parse(RECORDS["blob"]).lease == 7 * DAY
    assert remaining_at_most(parse(RECORDS["blob"]), 30 * DAY, NOW) == 7 * DAY


def test_what_remains_never_grows_in_passing() -> None:
    parsed = leased(SHARED, DAY)
    assert remaining_at_most(parsed, 100, NOW) == 100
    assert remaining_at_most(parsed, 100.5, NOW) == 100.5
    assert remaining_at_most(parsed, 0, NOW) == 0
    assert remaining_at_most(parsed, -5, NOW) == 0


def test_what_remains_is_bounded_by_expires_and_the_tolerance() -> None:
    parsed = ranked(expires=NOW)  # a lease of an hour
    assert remaining_at_most(parsed, DAY, NOW) == HOUR
    assert remaining_at_most(parsed, DAY, NOW + 600) == HOUR - 600
    assert remaining_at_most(parsed, DAY, NOW + 2 * HOUR) == 0
