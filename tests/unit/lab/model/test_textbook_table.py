from random import Random

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import random_in_bucket
from kadnet.lab.model.textbook_table import TextbookSettings, TextbookTable

SETTINGS = TextbookSettings(k=4, parallelism=3, timeout=2.0, replacements=2)


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(32, "big"), Endpoint(f"20.0.{number >> 8}.{number & 255}", 7420))


def filled(count: int) -> tuple[TextbookTable, list[Contact]]:
    table = TextbookTable(contact(0), SETTINGS)
    contacts = [contact(number) for number in range(1, count + 1)]
    for each in contacts:
        table.seen(each)
    return table, contacts


def in_bucket(table: TextbookTable, index: int, count: int) -> list[Contact]:
    """Contacts of one bucket, by trial."""
    found = (contact(number) for number in range(1, 10_000))
    of_it = (each for each in found if table.index(each.position) == index)
    return [next(of_it) for _ in range(count)]


def test_the_closest_are_those_that_sorting_everybody_gives() -> None:
    table, contacts = filled(60)
    everybody = table.closest(0, 1000)
    assert {each.id for each in everybody} <= {each.id for each in contacts}
    rng = Random(4)
    targets = [rng.getrandbits(256) for _ in range(50)]
    targets += [random_in_bucket(contact(0).position, index, rng) for index in range(8)]
    for target in targets:
        for count in (1, 4, 7):
            expected = sorted(everybody, key=lambda each: each.position ^ target)[:count]
            assert table.closest(target, count) == expected


def test_a_full_bucket_keeps_its_old_contacts_and_the_newest_waits_for_a_place() -> None:
    table = TextbookTable(contact(0), SETTINGS)
    *old, first, second, third = in_bucket(table, 0, SETTINGS.k + 3)
    for each in [*old, first, second, third]:
        table.seen(each)
    assert set(table.closest(old[0].position, 100)) == set(old)
    table.failed(old[0])
    assert set(table.closest(old[0].position, 100)) == {*old[1:], third}
    table.failed(old[1])
    table.failed(old[2])  # the first newcomer was pushed out by the third
    assert set(table.closest(old[0].position, 100)) == {old[3], third, second}


def test_a_node_is_not_in_its_own_table() -> None:
    table = TextbookTable(contact(0), SETTINGS)
    table.seen(contact(0))
    assert table.closest(0, 10) == []


def test_buckets_are_quiet_when_nothing_was_looked_up_in_them() -> None:
    table, _ = filled(60)
    deepest = max(table.index(each.position) for each in table.closest(0, 1000))
    assert table.quiet(100.0, 50.0) == list(range(deepest + 1))
    table.looked_up(1, 80.0)
    assert 1 not in table.quiet(100.0, 50.0)
    assert 1 in table.quiet(130.0, 50.0)
