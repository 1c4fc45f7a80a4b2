"""Who is remembered between packets, and which contacts of an answer are used."""

from __future__ import annotations

import pytest

from kadnet.errors import ProtocolError
from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.overlay.peers import MAX_CONTACTS, ContactBook, PeerBook, PeerSettings, _usable
from kadnet.wire.packets import Channel
from tests.unit.overlay.builders import PUBLIC, identity

OWN = identity("own")
SMALL = PeerSettings(max_asked=3, max_strangers=2)


def id_of(name: str) -> bytes:
    return identity(name).public


def book() -> PeerBook:
    return PeerBook(OWN, PUBLIC, SMALL)


def admit(peers: PeerBook, name: str) -> None:
    peers.admit(id_of(name), Channel(OWN, id_of(name), PUBLIC))


def test_strangers_never_push_out_a_peer_that_was_asked() -> None:
    peers = book()
    asked = [peers.to_ask(id_of(f"asked {number}")) for number in range(3)]
    for number in range(10):
        admit(peers, f"stranger {number}")
    assert [peers.get(peer.id) for peer in asked] == asked
    assert len(peers) == 5
    assert peers.get(id_of("stranger 9")) is not None
    assert peers.get(id_of("stranger 0")) is None


def test_a_stranger_that_we_ask_keeps_its_keys_and_leaves_the_strangers() -> None:
    peers = book()
    admit(peers, "one")
    known = peers.get(id_of("one"))
    assert peers.to_ask(id_of("one")) is known
    for number in range(5):
        admit(peers, f"stranger {number}")
    assert peers.get(id_of("one")) is known


def test_the_least_recently_asked_goes_first() -> None:
    peers = book()
    for name in ("a", "b", "c", "a", "d"):
        peers.to_ask(id_of(name))
    assert peers.get(id_of("b")) is None
    assert all(peers.get(id_of(name)) for name in "acd")


def test_an_id_that_is_no_key_cannot_be_asked_and_leaves_nothing() -> None:
    peers = book()
    with pytest.raises(ProtocolError):
        peers.to_ask(bytes(32))
    assert len(peers) == 0


def packed(*contacts: Contact) -> bytes:
    return b"".join(contact.packed for contact in contacts)


def test_contacts_of_an_answer_come_in_its_order_without_what_nobody_can_be() -> None:
    contacts = ContactBook(OWN.public, 2)
    good = [Contact(id_of(str(n)), Endpoint(host, 9)) for n, host in enumerate(("10.0.0.1", "198.51.100.1"))]
    good6 = [Contact(id_of("six"), Endpoint("2001:db8::1", 9))]
    bad = [
        Contact(OWN.public, Endpoint("10.0.0.1", 9)),
        Contact(id_of("port 0"), Endpoint("10.0.0.1", 0)),
        Contact(id_of("nobody"), Endpoint("0.0.0.0", 9)),
        Contact(id_of("all"), Endpoint("255.255.255.255", 9)),
        Contact(id_of("group"), Endpoint("224.0.0.1", 9)),
    ]
    bad6 = [Contact(id_of(host), Endpoint(host, 9)) for host in ("ff02::1", "2002::1", "2001::1", "64:ff9b::1", "::")]
    found = contacts.decode(packed(good[0], *bad, good[1]), packed(*bad6, *good6), 1)
    assert found == [*good, *good6]


def test_nothing_more_local_than_the_giver_is_believed() -> None:
    contacts = ContactBook(OWN.public, 2)
    loop, private, public = (
        Contact(id_of(host), Endpoint(host, 9)) for host in ("127.0.0.1", "192.168.0.1", "203.0.113.1")
    )
    answer = packed(loop, private, public)
    assert contacts.decode(answer, b"", 0) == [loop, private, public]
    assert contacts.decode(answer, b"", 1) == [private, public]
    assert contacts.decode(answer, b"", 2) == [public]


def test_of_one_public_host_an_answer_brings_no_more_than_a_bucket_takes() -> None:
    ports = [Contact(id_of(f"port {port}"), Endpoint("198.51.100.7", port)) for port in range(1, 9)]
    other = Contact(id_of("other"), Endpoint("198.51.100.8", 9))
    here = [Contact(id_of(f"here {port}"), Endpoint("10.0.0.1", port)) for port in range(1, 9)]
    contacts = ContactBook(OWN.public, 2)
    assert contacts.decode(packed(*ports, other), b"", 2) == [*ports[:2], other]
    assert contacts.decode(packed(*ports[2:]), b"", 2) == ports[2:4]
    assert contacts.decode(packed(*here), b"", 1) == here


def test_a_contact_that_is_handed_on_often_is_made_once_for_all_nodes_of_a_process() -> None:
    one = packed(Contact(id_of("often"), Endpoint("10.0.0.1", 9)))
    (first,) = ContactBook(OWN.public, 2).decode(one, b"", 1)
    assert ContactBook(OWN.public, 2).decode(one, b"", 1)[0] is first
    assert ContactBook(id_of("another node"), 2).decode(one, b"", 1)[0] is first
    assert ContactBook(id_of("often"), 2).decode(one, b"", 1) == [], "shared, and yet nobody is told of itself"


def test_the_memory_of_decoded_contacts_is_bounded() -> None:
    bound = _usable.cache_info().maxsize
    assert bound == MAX_CONTACTS
    for number in range(bound + 10):
        _usable(number.to_bytes(32, "big") + bytes((10, 0, 0, 1, 0, 9)))
    assert _usable.cache_info().currsize == bound
