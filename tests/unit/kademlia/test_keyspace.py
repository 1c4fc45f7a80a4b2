import hashlib
import random

import pytest

from kadnet.kademlia import keyspace

KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032, test 1


def test_a_position_is_the_labelled_hash_of_the_key() -> None:
    expected = hashlib.sha256(b"kadnet node" + KEY).digest()
    assert keyspace.position_bytes(KEY) == expected
    assert keyspace.position(KEY) == int.from_bytes(expected, "big")


def test_distance_is_xor() -> None:
    assert keyspace.distance(0b1100, 0b1010) == 0b0110
    assert keyspace.distance(7, 7) == 0


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [(0, 0, 256), (0, 1, 255), (0, 1 << 255, 0), (1 << 255, 0, 0), (1 << 255, 1 << 255 | 1 << 254, 1), (5, 5, 256)],
)
def test_prefix_length_counts_the_leading_bits_that_agree(a: int, b: int, shared: int) -> None:
    assert keyspace.prefix_length(a, b) == shared


def test_a_random_position_falls_into_the_bucket_asked_for() -> None:
    rng = random.Random(1)
    own = rng.getrandbits(256)
    for index in range(256):
        drawn = [keyspace.random_in_bucket(own, index, rng) for _ in range(4)]
        assert {keyspace.prefix_length(own, place) for place in drawn} == {index}
        if index < 200:
            assert len(set(drawn)) == 4, "the bits below the bucket's must vary"


@pytest.mark.parametrize("index", [-1, 256])
def test_there_is_no_bucket_outside_the_key_space(index: int) -> None:
    with pytest.raises(ValueError, match=str(index)):
        keyspace.random_in_bucket(0, index, random.Random(1))
