import pytest

from kadnet.links.waiting import Waiting


def filled(**sizes: int) -> Waiting:
    waiting = Waiting()
    for item, size in sizes.items():
        waiting.add(item, size)
    return waiting


def test_batches_are_bounded_by_items_and_by_bytes() -> None:
    waiting = filled(a=1, b=1, c=1, d=5, e=5, f=5)
    assert waiting.take(2, 100) == ["a", "b"]
    assert waiting.take(9, 10) == ["c", "d"]
    assert (len(waiting), waiting.size) == (2, 10)
    assert waiting.take(9, 10) == ["e", "f"]
    assert waiting.take(9, 10) == []


def test_an_item_that_is_too_large_for_a_batch_is_one() -> None:
    waiting = filled(a=100, b=1)
    assert waiting.take(9, 10) == ["a"]
    assert waiting.take(9, 10) == ["b"]


def test_what_is_taken_back_is_no_longer_counted() -> None:
    waiting = filled(a=3, b=4)
    assert waiting.remove("a")
    assert not waiting.remove("a")
    assert (len(waiting), waiting.size) == (1, 4)
    assert waiting.take_all() == ["b"]
    assert (len(waiting), waiting.size) == (0, 0)


def test_an_item_waits_once() -> None:
    waiting = filled(a=3)
    with pytest.raises(ValueError, match="queued"):
        waiting.add("a", 3)
    assert waiting.size == 3
