"""What a person may type for a node."""

from __future__ import annotations

import pytest

from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.identity.address import Address
from kadnet.identity.keys import Identity
from kadnet.identity.who import Who, parse_who

BOB = Identity.from_seed(b"b" * 32).public
BOB_TEXT = nodeid.encode(BOB)
BOOK = {"bob": Who(BOB, None), "bobby": Who(BOB, Address(BOB, "10.0.0.2", 7420)), "deadbeef": Who(BOB, None)}


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        ("bob", BOOK["bob"]),
        ("bobby", BOOK["bobby"]),
        ("deadbeef", BOOK["deadbeef"]),  # looks like a short ID, and is a name
        (BOB_TEXT, Who(BOB, None)),
        (BOB_TEXT.upper(), Who(BOB, None)),
        (f"kadnet://{BOB_TEXT}@host.example:7421", Who(BOB, Address(BOB, "host.example", 7421))),
        (f"KADNET://{BOB_TEXT}@[::1]:7421", Who(BOB, Address(BOB, "::1", 7421))),
        ("10.0.0.2:7421", Who(None, Address(None, "10.0.0.2", 7421))),
        ("[2001:db8::1]:7421", Who(None, Address(None, "2001:db8::1", 7421))),
        ("host.example:7421", Who(None, Address(None, "host.example", 7421))),
    ],
)
def test_who_is_a_name_an_id_or_an_address(typed: str, who: Who) -> None:
    assert parse_who(typed, BOOK) == who


@pytest.mark.parametrize(
    ("typed", "said", "hint"),
    [
        ("bobb", "no contact is called 'bobb'", "did you mean 'bobby'"),
        ("carol", "no contact is called 'carol'", "kadnet contact add carol"),
        ("a2345672", "short form", ""),
        (BOB_TEXT[:-1] + ("a" if BOB_TEXT[-1] != "a" else "b"), "", ""),
        (BOB_TEXT[:-1], "55 characters", ""),
        (BOB_TEXT + "a", "57 characters", ""),
        (f"kadnet://{BOB_TEXT[:-2]}aa@host:1", "", ""),
        ("kadnet://host:7420", "", ""),
        ("10.0.0.2:99999", "", ""),
        (":7420", "", ""),
        ("", "neither a contact, a node ID nor an address", "56-character"),
        ("Bob Smith", "neither", "56-character"),
        ("Bob", "no contact is called", "did you mean 'bob'"),
        ("a" * 33, "neither", ""),
        ("é" * 56, "character 1", ""),
        ("bob\n", "neither", ""),
        ("\x1b[2J", r"\x1b[2J", ""),
        (" bob", "neither", ""),
    ],
)
def test_what_is_none_of_them_is_said_in_one_line(typed: str, said: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_who(typed, BOOK)
    message = str(caught.value)
    assert said in message
    assert hint in (caught.value.hint or "")
    assert message.isprintable()
    assert (caught.value.hint or "").isprintable()


@pytest.mark.parametrize("word", ["me", "name", "blob"])
def test_words_that_mean_something_else_are_no_names_to_add(word: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_who(word, BOOK)
    assert "contact add" not in (caught.value.hint or "")
