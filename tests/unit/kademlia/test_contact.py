import pytest

from kadnet.errors import Malformed
from kadnet.identity.address import Endpoint, Scope
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position

ID = bytes(range(32))
V4 = Endpoint("192.0.2.1", 7420)
V6 = Endpoint("2001:db8::1", 7420)


@pytest.mark.parametrize(("endpoint", "length", "family"), [(V4, 38, 4), (V6, 50, 6)])
def test_a_contact_survives_packing(endpoint: Endpoint, length: int, family: int) -> None:
    contact = Contact(ID, endpoint)
    again = Contact.from_packed(contact.packed)
    assert len(contact.packed) == length
    assert contact.packed[:32] == ID
    for one in (contact, again):
        assert (one.id, one.endpoint, one.position, one.packed) == (ID, endpoint, position(ID), contact.packed)
        assert (one.scope, one.family) == (Scope.PUBLIC, family)
    assert again == contact
    assert hash(again) == hash(contact)


def test_contacts_differ_by_id_and_by_endpoint() -> None:
    contact = Contact(ID, V4)
    assert contact != Contact(bytes(32), V4)
    assert contact != Contact(ID, Endpoint("192.0.2.1", 7421))
    assert contact != (ID, V4)
    assert len({contact, Contact(ID, V4), Contact(ID, V6)}) == 2


def test_a_mapped_address_makes_the_same_contact_as_plain_ipv4() -> None:
    mapped = ID + bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]) + (7420).to_bytes(2, "big")
    contact = Contact.from_packed(mapped)
    assert contact == Contact(ID, V4)
    assert contact.family == 4
    assert len(contact.packed) == 38


@pytest.mark.parametrize("length", [0, 31, 32, 37, 39, 49, 51])
def test_other_lengths_are_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        Contact.from_packed(bytes(length))


def test_scope_comes_from_the_endpoint() -> None:
    assert Contact(ID, Endpoint("127.0.0.1", 1)).scope == Scope.LOOPBACK
    assert Contact(ID, Endpoint("10.1.2.3", 1)).scope == Scope.PRIVATE


def test_a_contact_prints_its_place() -> None:
    assert repr(Contact(ID, V4)) == "<Contact 00010203 at 192.0.2.1:7420>"
