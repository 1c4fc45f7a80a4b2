import hashlib

import pytest
from nacl.bindings import crypto_secretbox_easy

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.keys import Identity
from kadnet.wire import packets
from kadnet.wire.packets import Channel
from tests.unit.wire.samples import ALICE, BOB, COOKIE, NONCE, PRIVATE, PUBLIC
from tests.vectors_plugin import CheckVectors

MESSAGE = b"a message"
SEALED = Channel(ALICE, BOB.public).seal(MESSAGE, NONCE)


def read(datagram: bytes, own: Identity = BOB, network: bytes = PUBLIC) -> bytes:
    """A datagram of a stranger, through the checks in the order of the protocol: what it carries."""
    kind = packets.kind_of(datagram)
    if kind == packets.PROBE:
        return packets.open_probe(datagram, network)
    if kind == packets.PROBE_REPLY:
        return packets.open_probe_reply(datagram, network)[1]
    sender = packets.sender_of(datagram)
    if packets.tag_of(datagram) != packets.recipient_tag(network, sender, own.public):
        raise Malformed("tag")
    return Channel(own, sender, network).open(datagram)


def b(size: int, key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def test_packets_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for name, own, peer, network, message in (
        ("sealed, alice to bob", ALICE, BOB, PUBLIC, MESSAGE),
        ("sealed, bob to alice", BOB, ALICE, PUBLIC, MESSAGE),
        ("sealed, alice to bob, private network", ALICE, BOB, PRIVATE, MESSAGE),
        ("sealed, the shortest", ALICE, BOB, PUBLIC, b"\x90"),
        ("sealed, the longest", ALICE, BOB, PUBLIC, bytes(packets.MAX_MESSAGE)),
    ):
        inputs = {"what": name, "sender seed": own.seed.hex(), "recipient seed": peer.seed.hex()}
        inputs |= {"network": network.hex(), "nonce": NONCE.hex(), "message": message.hex()}
        made.append({**inputs, "hex": Channel(own, peer.public, network).seal(message, NONCE).hex()})
    for network in (PUBLIC, PRIVATE):
        inputs = {"what": "probe", "network": network.hex(), "cookie": COOKIE.hex()}
        made.append({**inputs, "hex": packets.probe(COOKIE, network).hex()})
        inputs = {"what": "probe reply", "network": network.hex(), "cookie": COOKIE.hex(), "node": BOB.public.hex()}
        made.append({**inputs, "hex": packets.probe_reply(COOKIE, BOB.public, network).hex()})
    vectors("packets", made)


@pytest.mark.parametrize("network", [PUBLIC, PRIVATE])
def test_a_sealed_datagram_is_what_the_protocol_spells(network: bytes) -> None:
    pair = ALICE.public + BOB.public
    key = b(32, network, b"kadnet/1 datagram" + ALICE.agree(BOB.public) + pair)
    head = b"\x6b\x11" + b(8, network, b"kadnet/1 to" + pair) + ALICE.public + NONCE
    expected = head + crypto_secretbox_easy(MESSAGE, NONCE, key)
    assert Channel(ALICE, BOB.public, network).seal(MESSAGE, NONCE) == expected
    assert len(expected) == packets.HEADER + len(MESSAGE) == 82 + len(MESSAGE)


@pytest.mark.parametrize("network", [PUBLIC, PRIVATE])
def test_a_probe_and_its_reply_are_what_the_protocol_spells(network: bytes) -> None:
    mac = b(16, network, b"kadnet/1 probe" + COOKIE)
    assert packets.probe(COOKIE, network) == b"\x6b\x12" + COOKIE + mac + bytes(62)
    mac = b(16, network, b"kadnet/1 probe reply" + COOKIE + BOB.public)
    assert packets.probe_reply(COOKIE, BOB.public, network) == b"\x6b\x13" + COOKIE + BOB.public + mac
    assert packets.open_probe(packets.probe(COOKIE, network), network) == COOKIE
    assert packets.open_probe_reply(packets.probe_reply(COOKIE, BOB.public, network), network) == (COOKIE, BOB.public)


def test_what_is_sealed_opens_at_the_other_end_in_both_directions() -> None:
    alice, bob = Channel(ALICE, BOB.public), Channel(BOB, ALICE.public)
    for size in (1, 100, packets.MAX_MESSAGE):
        message = bytes(range(256)) * 5
        assert bob.open(alice.seal(message[:size], NONCE)) == message[:size]
        assert alice.open(bob.seal(message[:size], NONCE)) == message[:size]
    assert packets.tag_of(alice.seal(MESSAGE, NONCE)) == bob.tag
    assert packets.sender_of(alice.seal(MESSAGE, NONCE)) == ALICE.public


def test_the_longest_message_fills_a_datagram() -> None:
    full = Channel(ALICE, BOB.public).seal(bytes(packets.MAX_MESSAGE), NONCE)
    assert len(full) == packets.MAX_DATAGRAM == 1232
    assert packets.kind_of(full) == packets.SEALED
    assert packets.kind_of(full[:83]) == packets.SEALED


def test_a_reply_is_smaller_than_its_probe() -> None:
    assert len(packets.probe_reply(COOKIE, BOB.public)) == 66 < len(packets.probe(COOKIE)) == 96


PROBE = packets.probe(COOKIE)
REPLY = packets.probe_reply(COOKIE, BOB.public)
BAD_PACKETS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "length"),
    "one byte": (b"\x6b", "length"),
    "65 bytes": (REPLY[:65], "length"),
    "too long by one": (SEALED + bytes(1233 - len(SEALED)), "length"),
    "a jumbo": (b"\x6b\x11" + bytes(60_000), "length"),
    "sealed without a message": (SEALED[:82], "length"),
    "another magic": (b"\x6a" + SEALED[1:], "magic"),
    "a STUN answer": (b"\x01\x01" + SEALED[2:], "magic"),
    "version 0": (b"\x6b\x01" + SEALED[2:], "version"),
    "version 2": (b"\x6b\x21" + SEALED[2:], "version"),
    "version 15": (b"\x6b\xf3" + SEALED[2:], "version"),
    "kind 0": (b"\x6b\x10" + SEALED[2:], "kind"),
    "reserved kind 4": (b"\x6b\x14" + SEALED[2:], "kind"),
    "reserved kind 5": (b"\x6b\x15" + SEALED[2:], "kind"),
    "kind 15": (b"\x6b\x1f" + SEALED[2:], "kind"),
    "a probe cut short": (PROBE[:95], "length"),
    "a probe too long": (PROBE + b"\0", "length"),
    "a probe with another MAC": (PROBE[:18] + bytes(16) + PROBE[34:], "mac"),
    "a probe with another cookie": (PROBE[:2] + bytes(16) + PROBE[18:], "mac"),
    "a probe of another network": (packets.probe(COOKIE, PRIVATE), "mac"),
    "a reply too long": (REPLY + b"\0", "length"),
    "a reply with another MAC": (REPLY[:50] + bytes(16), "mac"),
    "a reply with another ID": (REPLY[:18] + ALICE.public + REPLY[50:], "mac"),
    "a reply of another network": (packets.probe_reply(COOKIE, BOB.public, PRIVATE), "mac"),
    "a reply relabelled as a probe": (b"\x6b\x12" + REPLY[2:] + bytes(30), "mac"),
    "a probe relabelled as a reply": (b"\x6b\x13" + PROBE[2:66], "mac"),
    "a sealed one relabelled as a probe": (b"\x6b\x12" + SEALED[2:] + bytes(96 - len(SEALED)), "mac"),
    "a sealed one reflected to its sender": (Channel(BOB, ALICE.public).seal(MESSAGE, NONCE), "tag"),
    "sealed for somebody else": (Channel(ALICE, Identity.from_seed(b"c" * 32).public).seal(MESSAGE, NONCE), "tag"),
    "sealed on another network": (Channel(ALICE, BOB.public, PRIVATE).seal(MESSAGE, NONCE), "tag"),
    "a box cut short": (SEALED[:-1], "box"),
    "a box grown": (SEALED + b"\0", "box"),
    "a box with another nonce": (SEALED[:42] + bytes(24) + SEALED[66:], "box"),
    "a box shorter than its MAC, padded": (SEALED[:66] + bytes(17), "box"),
}


@pytest.mark.parametrize("what", BAD_PACKETS)
def test_a_bad_packet_is_refused_for_the_reason_it_deserves(what: str) -> None:
    datagram, reason = BAD_PACKETS[what]
    with pytest.raises(Malformed) as caught:
        read(datagram)
    assert caught.value.reason == reason


@pytest.mark.parametrize("datagram", [SEALED, PROBE, REPLY], ids=["sealed", "probe", "reply"])
def test_no_flipped_bit_goes_unnoticed(datagram: bytes) -> None:
    read(datagram)
    unnoticed = []
    for place in range(len(datagram) * 8):
        flipped = bytearray(datagram)
        flipped[place // 8] ^= 1 << place % 8
        try:
            read(bytes(flipped))
        except Malformed:
            continue
        unnoticed.append(place // 8)
    # The zeros after a probe's MAC are ballast.
    assert unnoticed == ([byte for byte in range(34, 96) for _ in range(8)] if datagram is PROBE else [])


def test_a_packet_does_not_open_when_reflected_although_the_tag_would_let_it_in() -> None:
    alice = Channel(ALICE, BOB.public)
    with pytest.raises(Malformed, match="box"):
        alice.open(alice.seal(MESSAGE, NONCE))


def test_a_packet_opens_on_its_own_network_alone() -> None:
    sealed = Channel(ALICE, BOB.public, PRIVATE).seal(MESSAGE, NONCE)
    with pytest.raises(Malformed, match="box"):
        Channel(BOB, ALICE.public, PUBLIC).open(sealed)
    assert Channel(BOB, ALICE.public, PRIVATE).open(sealed) == MESSAGE


def test_the_tag_tells_networks_and_directions_apart() -> None:
    tags = {
        packets.recipient_tag(network, *pair)
        for network in (PUBLIC, PRIVATE)
        for pair in ((ALICE.public, BOB.public), (BOB.public, ALICE.public))
    }
    assert len(tags) == 4


@pytest.mark.parametrize("bad", [bytes(32), bytes([1]) + bytes(31), b"\xff" * 32, b"short"])
def test_there_is_no_channel_to_an_id_that_no_key_has(bad: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        Channel(ALICE, bad)
    assert caught.value.reason == "bad-key"
