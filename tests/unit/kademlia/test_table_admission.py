"""Whom the table has checked, and how many of one subnet it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import ChangeKind
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.table import TableSettings
from tests.unit.kademlia.tables import SMALL, ids, pings, table, take

# Who is checked.


def test_a_stranger_is_checked_once_in_thirty_seconds() -> None:
    ours = table()
    contact = take(1)[0]
    assert ours.heard(contact, 0.0)
    assert pings(ours, 0.0) == [contact]
    ours.failed(contact.id, 1.0, endpoint=contact.endpoint)
    assert not ours.heard(contact, 29.9)
    assert ours.heard(Contact(contact.id, Endpoint("20.9.9.9", 7420)), 29.9), "another endpoint is another check"
    assert ours.heard(contact, 30.0)


def test_who_is_known_at_that_endpoint_is_not_checked() -> None:
    ours = table()
    live, waiting = (contacts := take(4, bucket=0))[0], contacts[3]
    for contact in contacts:
        ours.answered(contact, None, 0.0)
    assert not ours.heard(live, 100.0)
    assert not ours.heard(waiting, 100.0)
    elsewhere = Contact(live.id, Endpoint("20.9.9.9", 7420))
    assert ours.heard(elsewhere, 100.0)
    ours.answered(elsewhere, None, 100.0)
    assert not ours.heard(elsewhere, 200.0), "it is the candidate already"


def test_nobody_is_checked_for_whom_there_is_no_room() -> None:
    ours = table()
    contacts = take(6, bucket=0)
    for contact in contacts[:4]:
        ours.answered(contact, None, 0.0)
    assert ours.heard(contacts[5], 0.0), "one place is left among the replacements"
    ours.answered(contacts[4], None, 0.0)
    assert not ours.heard(Contact(contacts[5].id, Endpoint("20.9.9.9", 7420)), 0.0)


def test_nobody_is_checked_whose_subnet_is_full() -> None:
    ours = table()
    source = ids(bucket=0)
    for port in (1, 2):
        ours.answered(Contact(next(source), Endpoint("20.1.1.1", port)), None, 0.0)
    assert not ours.heard(Contact(next(source), Endpoint("20.1.1.200", 3)), 0.0)
    assert ours.heard(Contact(next(source), Endpoint("20.1.2.1", 3)), 0.0)


# Subnets.


def test_a_bucket_takes_two_of_one_slash_24_replacements_counted() -> None:
    ours = table()
    source = ids(bucket=0)
    for contact in take(2, bucket=0):
        next(source)
        ours.answered(contact, None, 0.0)
    same = [Contact(next(source), Endpoint(f"30.1.1.{host}", 7420)) for host in range(3)]
    kinds = [ours.answered(contact, None, 0.0).kind for contact in same]
    assert kinds == [ChangeKind.INSERTED, ChangeKind.REPLACEMENT, ChangeKind.REFUSED_SUBNET]


def test_a_table_takes_ten_of_one_slash_24_replacements_counted() -> None:
    ours = table(TableSettings(k=1))
    kinds = []
    for bucket in range(6):
        source = ids(bucket)
        for _ in range(2):
            contact = Contact(next(source), Endpoint("30.1.1.1", 7420))
            kinds.append(ours.answered(contact, None, 0.0).kind)
    assert kinds == [ChangeKind.INSERTED, ChangeKind.REPLACEMENT] * 5 + [ChangeKind.REFUSED_SUBNET] * 2
    assert ours.answered(Contact(next(ids(7)), Endpoint("30.1.2.1", 1)), None, 0.0).kind is ChangeKind.INSERTED


def test_ipv6_is_limited_by_slash_64_in_a_bucket_and_slash_48_in_the_table() -> None:
    ours = table(TableSettings(per_bucket=1, per_table=2))
    source = ids(bucket=0)
    hosts = ["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2:1::1"]
    kinds = [ours.answered(Contact(next(source), Endpoint(host, 1)), None, 0.0).kind for host in hosts]
    refused, inserted = ChangeKind.REFUSED_SUBNET, ChangeKind.INSERTED
    assert kinds == [inserted, refused, inserted, refused, inserted]


@pytest.mark.parametrize(
    ("host", "waive_scope", "limited"),
    [("127.0.0.1", -1, True), ("127.0.0.1", 0, False), ("10.0.0.1", 0, True), ("10.0.0.1", 1, False)],
)
def test_quotas_are_waived_up_to_a_scope(host: str, waive_scope: int, limited: bool) -> None:
    ours = table(TableSettings(waive_scope=waive_scope))
    source = ids(bucket=0)
    kinds = {ours.answered(Contact(next(source), Endpoint(host, port)), None, 0.0).kind for port in range(1, 17)}
    assert kinds == ({ChangeKind.INSERTED, ChangeKind.REFUSED_SUBNET} if limited else {ChangeKind.INSERTED})


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, per_bucket=9, per_table=2)], ids=["bucket", "table"])
def test_what_leaves_gives_its_subnet_back(settings: TableSettings) -> None:
    ours = table(settings)
    source = ids(bucket=0)
    first, second, third = (Contact(next(source), Endpoint("30.1.1.1", port)) for port in (1, 2, 3))
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    assert ours.answered(third, None, 0.0).kind is ChangeKind.REFUSED_SUBNET
    assert ours.failed(first.id, 1.0).kind is ChangeKind.EVICTED
    assert ours.answered(third, None, 1.0).kind is ChangeKind.INSERTED
