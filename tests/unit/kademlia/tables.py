"""What the tests of the routing table share: a small table, and contacts that fall into the bucket one wants."""

from __future__ import annotations

import random
from collections.abc import Iterator

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position, prefix_length
from kadnet.kademlia.table import RoutingTable, TableSettings

OWN = bytes(32)
SMALL = TableSettings(k=3, replacements=2)


def table(settings: TableSettings = SMALL) -> RoutingTable:
    return RoutingTable(OWN, settings, random.Random(1))


def ids(bucket: int | None = None) -> Iterator[bytes]:
    """Node IDs, all of one bucket of OWN where it matters."""
    number = 0
    while True:
        number += 1
        id = number.to_bytes(32, "big")
        if bucket is None or prefix_length(position(OWN), position(id)) == bucket:
            yield id


def strangers(bucket: int | None = None) -> Iterator[Contact]:
    """Contacts that share no subnet."""
    for number, id in enumerate(ids(bucket)):
        yield Contact(id, Endpoint(f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.1", 7420))


def take(count: int, bucket: int | None = None) -> list[Contact]:
    source = strangers(bucket)
    return [next(source) for _ in range(count)]


def pings(table: RoutingTable, now: float) -> list[Contact]:
    return [action.contact for action in table.advance(now)[0]]


def check_until_earned(table: RoutingTable, contact: Contact, earned: int, now: float) -> float:
    """Lets a contact pass revalidations until it has that much credit."""
    while view_of(table, contact.id).checks < earned:
        now += 20.0
        for ping in table.advance(now)[0]:
            table.answered(ping.contact, None, now)
    return now


def view_of(table: RoutingTable, id: bytes) -> EntryView:
    return next(entry for bucket in table.snapshot() for entry in bucket.entries if entry.contact.id == id)
