"""Tokens: whose they are, where, and for how long."""

from __future__ import annotations

from kadnet.identity.address import Endpoint
from kadnet.overlay.tokens import Tokens, TokenSettings, is_valid

HERE = Endpoint("198.51.100.1", 7420)
ASKER, OTHER = bytes(32), b"\x01" * 32


def tokens(secret: bytes = b"s" * 32) -> Tokens:
    return Tokens(secret, TokenSettings(epoch=300.0))


def test_a_token_serves_its_asker_at_its_endpoint_only() -> None:
    made = tokens()
    mine = made.issued(None, ASKER, HERE, 1000.0).current
    assert is_valid(made.issued(None, ASKER, HERE, 1000.0), mine)
    for asker, endpoint in (
        (OTHER, HERE),
        (ASKER, HERE._replace(port=7421)),
        (ASKER, HERE._replace(host="198.51.100.2")),
        (ASKER, Endpoint("2001:db8::1", 7420)),
    ):
        assert not is_valid(made.issued(None, asker, endpoint, 1000.0), mine)


def test_it_serves_for_its_epoch_and_the_next() -> None:
    made = tokens()
    token = made.issued(None, ASKER, HERE, 600.0).current
    for now, valid in ((600.0, True), (899.9, True), (900.0, True), (1199.9, True), (1200.0, False), (5000.0, False)):
        assert is_valid(made.issued(None, ASKER, HERE, now), token) is valid


def test_what_was_remembered_of_another_endpoint_or_epoch_is_not_used() -> None:
    made = tokens()
    first = made.issued(None, ASKER, HERE, 0.0)
    assert made.issued(first, ASKER, HERE, 299.0) is first
    assert made.issued(first, ASKER, HERE, 300.0).previous == first.current
    moved = made.issued(first, ASKER, HERE._replace(port=1), 0.0)
    assert moved.current != first.current


def test_another_secret_makes_other_tokens_and_nothing_else_is_one() -> None:
    token = tokens().issued(None, ASKER, HERE, 0.0).current
    assert len(token) == 8
    issued = tokens(b"t" * 32).issued(None, ASKER, HERE, 0.0)
    assert not is_valid(issued, token)
    assert not is_valid(issued, b"")
    assert not is_valid(issued, bytes(8))
