import re

import pytest

from kadnet.errors import InputError, Malformed
from kadnet.identity import address, nodeid
from kadnet.identity.address import Address, Endpoint, Scope, parse_address, parse_listen
from kadnet.identity.keys import Identity

KEY = Identity.from_seed(bytes(range(32))).public
ID = nodeid.encode(KEY)


@pytest.mark.parametrize(
    ("text", "id", "host", "port"),
    [
        (f"kadnet://{ID}@seed.example:99", KEY, "seed.example", 99),
        (f"kadnet://{ID}@seed.example", KEY, "seed.example", 7420),
        (f"KADNET://{ID.upper()}@SEED.Example:99", KEY, "seed.example", 99),
        (f"kadnet://{ID}@[2001:DB8:0::1]:1", KEY, "2001:db8::1", 1),
        (f"kadnet://{ID}@[2001:db8::1]", KEY, "2001:db8::1", 7420),
        (f"kadnet://{ID}@192.0.2.7:65535", KEY, "192.0.2.7", 65535),
        ("seed.example:99", None, "seed.example", 99),
        ("localhost", None, "localhost", 7420),
        ("127.0.0.1", None, "127.0.0.1", 7420),
        ("[::1]:80", None, "::1", 80),
        ("[::ffff:192.0.2.1]:80", None, "192.0.2.1", 80),
        ("my_service-1:80", None, "my_service-1", 80),
        ("seed.example.:80", None, "seed.example.", 80),
        ("bücher.example:80", None, "xn--bcher-kva.example", 80),
        ("例え。テスト", None, "xn--r8jz45g.xn--zckzah", 7420),
        ("１２７.0.0.1:80", None, "127.0.0.1", 80),
        ("3com.example", None, "3com.example", 7420),
    ],
)
def test_the_right_forms_are_read(text: str, id: bytes | None, host: str, port: int) -> None:
    assert parse_address(text) == Address(id, host, port)
    assert parse_address(str(parse_address(text))) == parse_address(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "it is empty"),
        ("http://seed.example", "the scheme is 'http://', not kadnet://"),
        ("://seed.example", "the scheme is '://', not"),
        (f"{ID}@seed.example:1", "the scheme is missing"),
        ("kadnet://seed.example:1", "the node ID is missing"),
        ("kadnet://@seed.example:1", "the node ID is missing"),
        (f"kadnet://{ID[:-1]}@seed.example:1", "node ID has 55 characters"),
        (f"kadnet://{ID[:8]}@seed.example:1", "the short form"),
        (f"kadnet://{ID}@{ID}@seed.example:1", "node ID has 113 characters"),
        (f"kadnet://{ID}@", "the host is missing"),
        (f"kadnet://{ID}@:1", "the host is missing"),
        (":1", "the host is missing"),
        ("host:", "the port is missing after ':'"),
        ("[::1]:", "the port is missing after ':'"),
        ("host:0", "the port '0' is not a number from 1 to 65535"),
        ("host:65536", "the port '65536' is not"),
        ("host:999999999999", "the port '999999999999' is not"),
        ("host:-1", "the port '-1' is not"),
        ("host:+1", "the port '+1' is not"),
        ("host:1_0", "the port '1_0' is not"),
        ("host: 1", "the port ' 1' is not"),
        ("host:１", "the port '１' is not"),
        ("host:1/", "the port '1/' is not"),
        ("host:http", "the port 'http' is not"),
        ("::1", "an IPv6 address stands in brackets"),
        ("::1:7420", "an IPv6 address stands in brackets"),
        ("[::1", "a '[' that is never closed"),
        ("[::1]80", "the port is wrong: '80' follows the ']'"),
        ("[1.2.3.4]:80", "the host '[1.2.3.4]' is not an IPv6 address"),
        ("[]:80", "the host '[]' is not an IPv6 address"),
        ("[v1.x]:80", "is not an IPv6 address"),
        ("[fe80::1%eth0]:80", "the host has a zone"),
        ("[fe80::1%25eth0]:80", "the host has a zone"),
        ("a b:80", "the host has ' ' as character 2"),
        (" a:80", "the host has ' ' as character 1"),
        ("a:80 ", "the port '80 ' is not"),
        ("a\u3000b", "as character 2"),
        ("a\x00b", r"the host has '\x00' as character 2"),
        ("a\nb", r"the host has '\x0a' as character 2"),
        ("a\u202eb", r"the host has '\u202e' as character 2"),
        ("a\u00adb", r"the host has '\xad' as character 2"),
        ("1.2.3:80", "the host '1.2.3' is not an IPv4 address"),
        ("1.2.3.256", "is not an IPv4 address"),
        ("127.0.0.01", "is not an IPv4 address"),
        ("127.0.0.1.", "is not an IPv4 address"),
        ("0x7f000001", "is not an IPv4 address"),
        ("2130706433", "is not an IPv4 address"),
        ("-a.example", "the host has '-a' between its dots"),
        ("a-.example", "the host has 'a-' between its dots"),
        ("a..example", "the host has '' between its dots"),
        (".", "the host has '' between its dots"),
        ("a/b", "the host has 'a/b' between its dots"),
        ("a" * 64 + ".example", "between its dots"),
        ("a." * 127 + "a", "the host has 255 characters"),
        ("ü" * 64, "cannot be written as an international name"),
        ("ü..example", "cannot be written as an international name"),
        ("0.0.0.0:80", "the host 0.0.0.0 is no address of one machine"),
        ("[::]:80", "the host :: is no address of one machine"),
        ("224.0.0.1", "no address of one machine"),
    ],
)
def test_an_error_names_the_wrong_part_and_the_right_form(text: str, part: str) -> None:
    with pytest.raises(InputError, match=re.escape(part)) as caught:
        parse_address(text)
    assert "kadnet://<id>@host:port or host:port" in str(caught.value)
    assert all(char.isprintable() or char == "\u3000" for char in str(caught.value))


def test_an_address_without_an_id_is_refused_where_one_is_needed() -> None:
    assert parse_address(f"kadnet://{ID}@h:1", need_id=True).id == KEY
    with pytest.raises(InputError, match=r"node ID is missing \(the form is kadnet://<id>@host:port\)"):
        parse_address("h:1", need_id=True)


def test_an_endless_host_costs_no_endless_message() -> None:
    with pytest.raises(InputError) as caught:
        parse_address("ü" * 1_000_000)
    assert len(str(caught.value)) < 400


def test_an_address_shows_as_it_is_typed() -> None:
    assert str(Address(KEY, "seed.example", 1)) == f"kadnet://{ID}@seed.example:1"
    assert str(Address(KEY, "::1", 1)) == f"kadnet://{ID}@[::1]:1"
    assert str(Address(None, "::1", 1)) == "[::1]:1"


def test_an_address_of_an_ip_is_an_endpoint_and_one_of_a_name_is_not() -> None:
    assert parse_address("[::1]:1").endpoint == Endpoint("::1", 1)
    assert parse_address("127.0.0.1:1").endpoint == Endpoint("127.0.0.1", 1)
    assert parse_address("a.example:1").endpoint is None


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("0.0.0.0:0", Endpoint("0.0.0.0", 0)),
        ("[::]:7", Endpoint("::", 7)),
        ("127.0.0.1", Endpoint("127.0.0.1", 7420)),
    ],
)
def test_one_may_listen_on_every_address_and_on_any_free_port(text: str, endpoint: Endpoint) -> None:
    assert parse_listen(text) == endpoint


@pytest.mark.parametrize(
    ("text", "part"),
    [("localhost:1", "the host is a name"), ("1.2.3.4:70000", "the port '70000'"), ("", "the host is missing")],
)
def test_a_wrong_listen_address_is_named(text: str, part: str) -> None:
    with pytest.raises(InputError, match=re.escape(part)):
        parse_listen(text)


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("127.0.0.1", 0),
        ("127.255.255.255", 0),
        ("::1", 0),
        ("10.1.2.3", 1),
        ("172.16.0.1", 1),
        ("172.31.255.255", 1),
        ("192.168.1.1", 1),
        ("169.254.1.1", 1),
        ("100.64.0.1", 1),
        ("100.127.255.255", 1),
        ("fc00::1", 1),
        ("fdff::1", 1),
        ("fe80::1", 1),
        ("8.8.8.8", 2),
        ("172.32.0.1", 2),
        ("100.128.0.1", 2),
        ("192.0.2.1", 2),
        ("2001:db8::1", 2),
        ("2001:4860::1", 2),
        ("0.0.0.0", -1),
        ("0.1.2.3", -1),
        ("224.0.0.1", -1),
        ("239.255.255.255", -1),
        ("240.0.0.1", -1),
        ("255.255.255.255", -1),
        ("::", -1),
        ("::1.2.3.4", -1),
        ("ff02::1", -1),
        ("2002:102:304::1", -1),
        ("2001::1", -1),
        ("2001:0:ffff::1", -1),
        ("64:ff9b::1.2.3.4", -1),
        ("64:ff9b:1::1", -1),
        ("100::1", -1),
        ("::ffff:127.0.0.1", 0),
        ("::ffff:8.8.8.8", 2),
    ],
)
def test_every_range_has_its_scope(host: str, scope: int) -> None:
    assert address.scope(host) == scope
    assert isinstance(address.scope(host), Scope)


def test_prefixes_are_those_of_the_subnet_rules() -> None:
    assert address.prefix("192.0.2.77") == address.narrow_prefix("192.0.2.77") == bytes([192, 0, 2])
    assert address.prefix("2001:db8:1:2:3::4").hex() == "20010db80001"
    assert address.narrow_prefix("2001:db8:1:2:3::4").hex() == "20010db800010002"
    assert address.prefix("::ffff:192.0.2.77") == bytes([192, 0, 2])


def test_an_endpoint_packs_into_6_or_18_bytes_with_the_port_last() -> None:
    assert address.pack(Endpoint("192.0.2.1", 0x1234)).hex() == "c00002011234"
    assert address.pack(Endpoint("2001:db8::1", 0x1234)).hex() == "20010db8" + "00" * 11 + "01" + "1234"
    assert address.unpack(bytes.fromhex("c00002011234")) == Endpoint("192.0.2.1", 0x1234)
    assert address.family(Endpoint("192.0.2.1", 1)) == 4
    assert address.family(Endpoint("::1", 1)) == 6


def test_mapped_ipv6_is_reduced_wherever_it_comes_in() -> None:
    assert address.unpack(bytes.fromhex("00" * 10 + "ffff" + "c0000201" + "0007")) == Endpoint("192.0.2.1", 7)
    assert address.endpoint("::ffff:192.0.2.1", 7) == Endpoint("192.0.2.1", 7)
    assert address.pack(Endpoint("::ffff:192.0.2.1", 7)) == address.pack(Endpoint("192.0.2.1", 7))


@pytest.mark.parametrize("length", [0, 5, 7, 17, 19])
def test_other_lengths_are_malformed(length: int) -> None:
    with pytest.raises(Malformed, match="endpoint"):
        address.unpack(bytes(length))


def test_an_endpoint_of_doubtful_text_becomes_canonical_or_is_refused() -> None:
    assert address.endpoint("2001:DB8::0:1", 1) == Endpoint("2001:db8::1", 1)
    for host, port in (("a.example", 1), ("fe80::1%eth0", 1), ("::1", 65536), ("::1", -1)):
        with pytest.raises(InputError):
            address.endpoint(host, port)


def test_an_endpoint_is_written_with_brackets_for_ipv6() -> None:
    assert address.text(Endpoint("192.0.2.1", 5)) == "192.0.2.1:5"
    assert address.text(Endpoint("::1", 5)) == "[::1]:5"


def test_what_is_known_of_hosts_stays_bounded() -> None:
    for number in range(20_000):
        address.scope(f"10.0.{number >> 8}.{number & 255}")
    assert address._facts.cache_info().currsize <= 16_384


def test_a_host_seen_before_is_not_worked_out_again() -> None:
    address.scope("198.51.100.1")
    before = address._facts.cache_info().misses
    for ask in (address.scope, address.prefix, address.narrow_prefix):
        ask("198.51.100.1")
    address.pack(Endpoint("198.51.100.1", 1))
    assert address._facts.cache_info().misses == before
