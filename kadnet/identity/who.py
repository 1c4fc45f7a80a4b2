"""WHO: how a person names a node. A node ID, an address, or a name from the address book.

Pure: a bare host:port is left for the node to ask who is there, a host name for it to resolve.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.identity.address import SCHEME, Address, parse_address
from kadnet.identity.text import printable

CONTACT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
RESERVED: Final = frozenset({"me", "name", "blob"})
"""Words that mean something else where a name may stand."""

_SHORT_ID = re.compile(r"[a-z2-7]{8}")
_FORM = "give a contact's name, a 56-character node ID, kadnet://<id>@host:port, or host:port"


@dataclass(frozen=True, slots=True)
class Who:
    """A node as it was named: its ID, where it is said to be, or both."""

    id: bytes | None
    address: Address | None


def parse_who(typed: str, contacts: Mapping[str, Who]) -> Who:
    """What `typed` names. A contact's name goes before all other readings. InputError says what is wrong."""
    known = contacts.get(typed)
    if known is not None:
        return known
    if typed.lower().startswith(SCHEME):
        address = parse_address(typed, need_id=True)
        return Who(address.id, address)
    if len(typed) >= 40 and typed.isalnum():
        return Who(nodeid.decode(typed), None)
    if ":" in typed or "." in typed:
        return Who(None, parse_address(typed))
    if _SHORT_ID.fullmatch(typed) and not difflib.get_close_matches(typed, contacts, n=1):
        nodeid.decode(typed)  # which says that a short form is for the eye alone
    if CONTACT_NAME.fullmatch(typed.lower()):
        raise unknown_contact(typed, contacts)
    raise InputError(f"'{printable(typed, 80)}' is neither a contact, a node ID nor an address", hint=_FORM)


def unknown_contact(name: str, known: Iterable[str]) -> InputError:
    """The error for a contact's name that is not in the book, with the nearest that is."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    add = (
        ""
        if name in RESERVED or not CONTACT_NAME.fullmatch(name)
        else f"add it with: kadnet contact add {name} WHO, or "
    )
    hint = f"did you mean '{near[0]}'?" if near else add + _FORM
    return InputError(f"no contact is called '{printable(name, 40)}'", hint=hint)
