"""Identity under inputs nobody thought of: texts that are shown, IDs and addresses that are typed, bytes received."""

import ipaddress
import unicodedata

from hypothesis import assume, given
from hypothesis import strategies as st

from kadnet.errors import InputError, Malformed
from kadnet.identity import address, nodeid
from kadnet.identity.address import Address, Endpoint, parse_address
from kadnet.identity.keys import Identity, verify
from kadnet.identity.text import printable

identities = st.binary(min_size=32, max_size=32).map(Identity.from_seed)
any_text = st.text(st.characters(exclude_categories=()))  # surrogates too
ips = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
endpoints = st.builds(lambda ip, port: address.endpoint(str(ip), port), ips, st.integers(0, 65535))
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@given(any_text, st.integers(1, 40))
def test_what_is_shown_is_bounded_and_moves_no_terminal(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    for char in shown:
        assert unicodedata.category(char) not in ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")
        assert unicodedata.category(char) != "Cf" or char in "\u200c\u200d"
    shown.encode()


@given(any_text)
def test_showing_twice_changes_nothing_more(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@given(identities)
def test_every_id_reads_back_in_either_case(identity: Identity) -> None:
    text = nodeid.encode(identity.public)
    assert len(text) == 56
    assert set(text) <= set(LETTERS)
    assert nodeid.decode(text) == nodeid.decode(text.upper()) == identity.public


@given(identities, st.integers(0, 55), st.sampled_from(LETTERS))
def test_one_wrong_character_never_yields_an_id(identity: Identity, place: int, char: str) -> None:
    text = nodeid.encode(identity.public)
    assume(text[place] != char)
    try:
        other = nodeid.decode(text[:place] + char + text[place + 1 :])
    except InputError:
        return
    # 16 bits of checksum let 1 in 65,536 pass; what passes must at least be a different, whole ID.
    assert nodeid.encode(other) != text


@given(any_text)
def test_an_id_decodes_or_is_an_input_error(text: str) -> None:
    fault = ""
    try:
        assert nodeid.encode(nodeid.decode(text)) == text.lower()
    except InputError as error:
        fault = str(error)
    assert len(fault.splitlines()) <= 1


@given(identities, identities)
def test_agreement_is_symmetric(one: Identity, other: Identity) -> None:
    assert one.agree(other.public) == other.agree(one.public)


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=80))
def test_verify_takes_any_bytes_and_no_forgery(public: bytes, message: bytes, signature: bytes) -> None:
    assert verify(public, message, signature) is False


@given(endpoints)
def test_an_endpoint_survives_packing_and_writing(at: Endpoint) -> None:
    assert address.unpack(address.pack(at)) == at
    assert len(address.pack(at)) == (6 if address.family(at) == 4 else 18)
    assert address.text(at) == f"{at.host}:{at.port}" or address.text(at) == f"[{at.host}]:{at.port}"
    assert str(ipaddress.ip_address(at.host)) == at.host


@given(st.binary(max_size=20))
def test_any_bytes_unpack_or_are_malformed(data: bytes) -> None:
    try:
        at = address.unpack(data)
    except Malformed:
        assert len(data) not in (6, 18)
    else:
        assert address.pack(at)[-2:] == data[-2:]
        assert address.endpoint(at.host, at.port) == at


@given(ips)
def test_a_scope_follows_the_standard_library_where_that_has_a_word(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    scope = address.scope(str(ip))
    real = getattr(ip, "ipv4_mapped", None) or ip
    if real.is_loopback:
        assert scope == 0
    elif real.is_multicast or real.is_unspecified:
        assert scope == -1
    elif real.is_link_local:
        assert scope == 1


@given(identities, endpoints)
def test_every_address_reads_back(identity: Identity, at: Endpoint) -> None:
    assume(at.port > 0 and address.scope(at.host) >= 0)
    typed = Address(identity.public, at.host, at.port)
    assert parse_address(str(typed), need_id=True) == typed
    assert parse_address(address.text(at)).endpoint == at


@given(st.one_of(any_text, any_text.map("kadnet://".__add__), st.text("a.:[]@/%0123\x00ü。-", max_size=20)))
def test_any_text_is_an_address_or_an_input_error_of_one_line(text: str) -> None:
    fault = "none\n"
    try:
        read = parse_address(text)
        assert read.host.isascii()
        assert parse_address(str(read)) == read
    except InputError as error:
        fault = str(error)
    assert len(fault.splitlines()) == 1
    assert len(fault) < 600
