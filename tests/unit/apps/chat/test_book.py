"""Names for node IDs: what may be one, whose it is, and what is known when."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.apps.chat.book import BookEntry
from kadnet.errors import InputError, StorageFailed
from kadnet.identity import nodeid
from kadnet.identity.address import Address
from kadnet.identity.who import Who
from tests.unit.apps.chat.stores import ALICE, BOB, CAROL, NOW, open_stores
from tests.unit.overlay.bench import on_virtual_time

AT = Address(None, "192.0.2.1", 7420)
AT_BOB = Address(BOB, "192.0.2.1", 7420)


@on_virtual_time
async def test_a_name_stands_for_its_node_until_it_is_removed() -> None:
    async with open_stores() as stores:
        book = stores.book
        ids, named = book.ids, book.named
        entry = await book.add("bob", BOB, AT)
        assert entry == BookEntry("bob", BOB, str(AT_BOB), NOW) == book.get("bob")
        assert dict(ids) == {"bob": BOB}
        assert dict(named) == {"bob": Who(BOB, AT_BOB)}
        assert (book.name_of(BOB), book.address_of(BOB)) == ("bob", AT_BOB)
        assert await book.remove("bob") == entry
        assert (dict(ids), dict(named), book.entries()) == ({}, {}, [])
        assert (book.name_of(BOB), book.address_of(BOB)) == (None, None)


@on_virtual_time
async def test_the_book_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async with open_stores(tmp_path / "chat.db") as stores:
        for name, id in (("zoe", BOB), ("bob", BOB), ("carol", CAROL)):
            await stores.book.add(name, id, AT)
            await trio.sleep(10)
        await stores.book.remove("carol")
    async with open_stores(tmp_path / "chat.db") as stores:
        assert [entry.name for entry in stores.book.entries()] == ["bob", "zoe"]
        assert stores.book.name_of(BOB) == "zoe"
        assert stores.book.address_of(BOB) == AT_BOB
        await stores.book.remove("zoe")
        assert stores.book.name_of(BOB) == "bob"


@on_virtual_time
async def test_a_name_of_another_node_is_not_taken_from_it() -> None:
    async with open_stores() as stores:
        await stores.book.add("bob", BOB)
        with pytest.raises(InputError, match=f"'bob' is already the name of {nodeid.encode(BOB)}"):
            await stores.book.add("bob", CAROL)
        assert stores.book.ids == {"bob": BOB}


@on_virtual_time
async def test_the_same_node_again_gets_its_new_address_and_keeps_one_it_has() -> None:
    async with open_stores() as stores:
        await stores.book.add("bob", BOB)
        await trio.sleep(10)
        assert (await stores.book.add("bob", BOB, AT)).address == str(AT_BOB)
        assert await stores.book.add("bob", BOB) == BookEntry("bob", BOB, str(AT_BOB), NOW)
        assert stores.book.address_of(BOB) == AT_BOB


@pytest.mark.parametrize(
    "name", ["me", "name", "blob", "", "Bob", "-bob", "_bob", "b b", "b" * 33, "bob\n", "bób", "b/b"]
)
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    @on_virtual_time
    async def play() -> None:
        async with open_stores() as stores:
            with pytest.raises(InputError, match="cannot be the name of a contact") as caught:
                await stores.book.add(name, BOB)
            assert len(str(caught.value).splitlines()) == 1
            assert stores.book.entries() == []

    play()


@on_virtual_time
async def test_every_name_of_the_form_is_taken() -> None:
    async with open_stores() as stores:
        for name in ("b", "0", "b" * 32, "bob-2_x", "names"):
            await stores.book.add(name, BOB)
        assert len(stores.book.entries()) == 5


@on_virtual_time
async def test_an_id_that_is_none_and_an_address_of_another_are_refused() -> None:
    async with open_stores() as stores:
        with pytest.raises(InputError, match="no node ID"):
            await stores.book.add("bob", bytes(32))
        with pytest.raises(InputError, match="that of another node"):
            await stores.book.add("bob", BOB, Address(CAROL, "192.0.2.1", 1))
        for host, port in (("\ud800", 1), ("a b", 1), ("192.0.2.1", 70_000)):
            with pytest.raises(InputError):
                await stores.book.add("bob", BOB, Address(BOB, host, port))
        assert stores.book.entries() == []


@on_virtual_time
async def test_an_unknown_name_is_met_with_the_nearest_known_one() -> None:
    async with open_stores() as stores:
        await stores.book.add("robert", BOB)
        await stores.book.add("carol", CAROL)
        with pytest.raises(InputError, match="no contact is called 'rober'") as caught:
            stores.book.get("rober")
        assert caught.value.hint == "did you mean 'robert'?"
        with pytest.raises(InputError, match="no contact is called 'rober'"):
            await stores.book.remove("rober")


@on_virtual_time
async def test_the_book_is_full_at_its_bound_and_has_room_again_after() -> None:
    async with open_stores(contacts=2) as stores:
        await stores.book.add("alice", ALICE)
        await stores.book.add("bob", BOB)
        with pytest.raises(InputError, match="there are 2 contacts"):
            await stores.book.add("carol", CAROL)
        await stores.book.add("bob", BOB, AT)  # no new one
        await stores.book.remove("alice")
        await stores.book.add("carol", CAROL)
        assert set(stores.book.ids) == {"bob", "carol"}


@on_virtual_time
async def test_a_name_is_known_when_it_is_on_the_disk_though_nobody_waits() -> None:
    async with open_stores() as stores:
        with trio.CancelScope() as scope:
            scope.cancel()
            await stores.book.add("bob", BOB)  # is cancelled where it begins to wait
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert stores.book.ids == {"bob": BOB} == dict(stores.rows("SELECT name, id FROM contacts"))


@on_virtual_time
async def test_a_name_that_the_disk_did_not_take_is_none() -> None:
    async with open_stores() as stores:
        await stores.book.add("carol", CAROL)
        stores.fail_writes()
        with pytest.raises(StorageFailed):
            await stores.book.add("bob", BOB)
        with pytest.raises(StorageFailed):
            await stores.book.remove("carol")
        assert stores.book.ids == {"carol": CAROL}


@on_virtual_time
async def test_of_two_who_remove_one_name_at_once_one_is_told_it_is_gone() -> None:
    async with open_stores() as stores:
        await stores.book.add("bob", BOB)
        said: list[str] = []

        async def remove() -> None:
            try:
                await stores.book.remove("bob")
                said.append("removed")
            except InputError as error:
                said.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(remove)
            nursery.start_soon(remove)
        assert sorted(said) == ["no contact is called 'bob'", "removed"]


@on_virtual_time
async def test_an_address_that_the_disk_has_changed_is_none_and_its_contact_stays(tmp_path: Path) -> None:
    async with open_stores(tmp_path / "chat.db") as stores:
        await stores.book.add("bob", BOB, AT)
        await stores.change("UPDATE contacts SET address = 'kadnet://x@y:z'")
    async with open_stores(tmp_path / "chat.db") as stores:
        assert stores.book.named == {"bob": Who(BOB, None)}
