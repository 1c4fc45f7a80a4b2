"""Contacts: names that people give to node IDs. Here a contact is a person's, not an entry of the routing table.

The names are kept in memory beside the table `contacts` of chat.db, and change there when a change is on the disk. An
ID may have several names; the one given first is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kadnet.apps.chat import protocol
from kadnet.apps.chat.settings import ChatSettings
from kadnet.apps.chat.writing import write
from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.identity.address import Address, parse_address
from kadnet.identity.text import printable
from kadnet.identity.who import CONTACT_NAME, RESERVED, Who, unknown_contact
from kadnet.storage import Database

_FORM = "1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A name, whose it is, where that node is said to be (an address as text), and since when (Unix seconds)."""

    name: str
    id: bytes
    address: str | None
    added_at: int


class Book:
    """The table `contacts` of chat.db."""

    def __init__(self, database: Database, settings: ChatSettings, wall: Callable[[], float]) -> None:
        """Reads all there is; StorageFailed when that cannot be done."""
        self._database = database
        self._settings = settings
        self._wall = wall
        self._entries: dict[str, BookEntry] = {}
        self._named: dict[str, Who] = {}
        self._ids: dict[str, bytes] = {}
        self._names: dict[bytes, list[str]] = {}  # of each ID, the first one given in front
        for row in database.stored("SELECT name, id, address, added_at FROM contacts ORDER BY added_at, name"):
            self._put(BookEntry(*row))

    @property
    def ids(self) -> Mapping[str, bytes]:
        """Name → ID: a view that follows every change."""
        return MappingProxyType(self._ids)

    @property
    def named(self) -> Mapping[str, Who]:
        """Name → ID and address: a view that follows every change."""
        return MappingProxyType(self._named)

    def entries(self) -> list[BookEntry]:
        """All contacts by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def get(self, name: str) -> BookEntry:
        """The contact of that name. InputError naming the nearest known one when there is none."""
        entry = self._entries.get(name)
        if entry is None:
            error = unknown_contact(name, self._entries)
            if "did you mean" not in str(error.hint):
                error.hint = "see: kadnet contact list"
            raise error
        return entry

    def name_of(self, id: bytes) -> str | None:
        """What that node is called here: the name it was given first."""
        names = self._names.get(id)
        return names[0] if names else None

    def address_of(self, id: bytes) -> Address | None:
        """Where that node is said to be, by the first of its names that knows."""
        addresses = (self._named[name].address for name in self._names.get(id, ()))
        return next((address for address in addresses if address is not None), None)

    async def add(self, name: str, id: bytes, address: Address | None = None) -> BookEntry:
        """Give a node a name. For one that has this name already, only a new address changes anything.

        Raises InputError for a name that cannot be one or belongs to another node, an ID that is none, an address of
        another node, or a full book; StorageFailed.
        """
        _check(name, id, address)
        place = None if address is None else _written(Address(id, address.host, address.port))
        added_at = protocol.unix_seconds(self._wall())

        def operation(connection: sqlite3.Connection) -> BookEntry:
            found = _find(connection, name)
            if found is None:
                (count,) = connection.execute("SELECT count(*) FROM contacts").fetchone()
                if count >= self._settings.contacts:
                    raise InputError(f"there are {count} contacts, and no more are kept", hint="remove one first")
                connection.execute("INSERT INTO contacts VALUES (?, ?, ?, ?)", (name, id, place, added_at))
                return BookEntry(name, id, place, added_at)
            if found.id != id:
                raise InputError(
                    f"'{name}' is already the name of {nodeid.encode(found.id)}",
                    hint=f"choose another name, or first: kadnet contact remove {name}",
                )
            if place is None:
                return found
            connection.execute("UPDATE contacts SET address = ? WHERE name = ?", (place, name))
            return replace(found, address=place)

        return await write(self._database, operation, told=self._put)

    async def remove(self, name: str) -> BookEntry:
        """Forget a name; what its node sent stays. InputError when there is no such contact, StorageFailed."""

        def operation(connection: sqlite3.Connection) -> BookEntry:
            found = _find(connection, name)
            if found is None:  # it was removed while this waited its turn
                raise unknown_contact(name, ())
            connection.execute("DELETE FROM contacts WHERE name = ?", (name,))
            return found

        self.get(name)
        return await write(self._database, operation, told=self._drop)

    def _put(self, entry: BookEntry) -> None:
        self._entries[entry.name] = entry
        self._named[entry.name] = Who(entry.id, _read(entry.address))
        self._ids[entry.name] = entry.id
        names = self._names.setdefault(entry.id, [])
        if entry.name not in names:
            names.append(entry.name)

    def _drop(self, entry: BookEntry) -> None:
        del self._entries[entry.name], self._named[entry.name], self._ids[entry.name]
        names = self._names[entry.id]
        names.remove(entry.name)
        if not names:
            del self._names[entry.id]


def _check(name: str, id: bytes, address: Address | None) -> None:
    if not CONTACT_NAME.fullmatch(name):
        raise InputError(f"'{printable(name, 60)}' cannot be the name of a contact: it is {_FORM}")
    if name in RESERVED:
        raise InputError(f"'{name}' cannot be the name of a contact: the word has a meaning of its own")
    if not nodeid.is_valid(id):
        raise InputError(f"the {len(id)} bytes given for '{name}' are no node ID")
    if address is not None and address.id not in (None, id):
        raise InputError(f"the address given for '{name}' is that of another node")


def _written(address: Address) -> str:
    """The address as text, which reads back. InputError for one that was made by hand and is none."""
    return str(parse_address(str(address), need_id=True))


def _find(connection: sqlite3.Connection, name: str) -> BookEntry | None:
    row = connection.execute("SELECT id, address, added_at FROM contacts WHERE name = ?", (name,)).fetchone()
    return None if row is None else BookEntry(name, *row)


def _read(address: str | None) -> Address | None:
    """A text that the disk has changed is no address: the node can still be looked for."""
    try:
        return None if address is None else parse_address(address, need_id=True)
    except InputError:
        return None
