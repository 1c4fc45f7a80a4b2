"""Nothing signed or sealed for one purpose counts for another."""

from __future__ import annotations

import itertools

import pytest

from kadnet.errors import InputError
from kadnet.wire import handshake, packets, records
from kadnet.wire.labels import label, statement

PURPOSES = ["a", "ab", "a/b", "receipt", "receipt/1", "receip", "guestbook/1", "guestbook/11", "0", "-", ".", "a" * 32]


def test_no_label_is_the_beginning_of_another() -> None:
    for one, other in itertools.permutations(PURPOSES, 2):
        assert not label(one).startswith(label(other))


def test_statements_of_two_purposes_or_networks_never_meet() -> None:
    """Whatever data an app is made to sign, it never says what another purpose would have said."""
    networks = (bytes(32), b"\x01" * 32)
    for (one, network), (other, another) in itertools.permutations(itertools.product(PURPOSES, networks), 2):
        said = statement(one, network, b"data")
        prefix = statement(other, another, b"")
        assert not said.startswith(prefix)


def test_the_receipt_has_the_label_of_the_wire() -> None:
    assert label("receipt") == b"kadnet receipt/1"
    assert statement("receipt", b"n" * 32, b"data") == b"kadnet receipt/1" + b"n" * 32 + b"data"


def test_labels_of_apps_are_none_that_the_house_signs_or_keys_with() -> None:
    house = [
        value
        for module in (records, packets, handshake)
        for value in vars(module).values()
        if isinstance(value, bytes) and value.startswith(b"kadnet")
    ]
    assert house
    for purpose in PURPOSES:
        for word in house:
            assert not word.startswith(label(purpose))
            assert not label(purpose).startswith(word)


@pytest.mark.parametrize("purpose", ["", "A", "a b", "a\n", "a\0", "ä", "a" * 33, b"a", None, 1])
def test_what_can_be_no_purpose_is_refused(purpose: str) -> None:
    with pytest.raises(InputError, match="a purpose is"):
        label(purpose)
