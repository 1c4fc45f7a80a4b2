from dataclasses import FrozenInstanceError

import pytest

from kadnet.events import Event, Events, Joined


def events(count: int) -> list[Event]:
    return [Joined(float(n), n) for n in range(count)]


def test_every_reader_gets_every_event_in_order() -> None:
    stream = Events()
    one, other = stream.subscribe(), stream.subscribe()
    for event in events(3):
        stream.publish(event)
    assert [one.take() for _ in range(4)] == [*events(3), None]
    assert [other.take() for _ in range(4)] == [*events(3), None]


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    stream = Events()
    slow, fast = stream.subscribe(size=2), stream.subscribe(size=10)
    for event in events(5):
        stream.publish(event)
    assert slow.missed == 3
    assert [slow.take() for _ in range(3)] == [*events(5)[3:], None]
    assert fast.missed == 0


def test_a_reader_is_woken_when_its_event_can_be_taken() -> None:
    stream = Events()
    reader = stream.subscribe()
    taken: list[Event | None] = []
    stream.publish(events(1)[0])
    reader.wake = lambda: taken.append(reader.take())
    stream.publish(events(2)[1])
    assert taken == [events(1)[0]]


def test_it_is_known_whether_anybody_listens() -> None:
    stream = Events()
    assert not stream.wants(Joined)
    reader = stream.subscribe(Joined)
    assert stream.wants(Joined)
    assert not stream.wants(Event)
    stream.unsubscribe(reader)
    assert not stream.wants(Joined)
    stream.publish(events(1)[0])
    assert reader.take() is None


def test_a_reader_has_only_the_kinds_it_asked_for() -> None:
    stream = Events()
    reader = stream.subscribe(Joined)
    stream.publish(Event(1.0))
    stream.publish(Joined(2.0, 5))
    assert reader.take() == Joined(2.0, 5)
    assert reader.take() is None


def test_who_subscribes_hears_only_what_follows() -> None:
    stream = Events()
    stream.publish(events(1)[0])
    assert stream.subscribe().take() is None


def test_readers_are_bounded() -> None:
    stream = Events(max_subscriptions=2)
    first = stream.subscribe()
    stream.subscribe()
    with pytest.raises(RuntimeError, match="more than 2 readers"):
        stream.subscribe()
    stream.unsubscribe(first)
    stream.subscribe()


def test_an_event_is_a_fact() -> None:
    event = Joined(1.0, 3)
    with pytest.raises(FrozenInstanceError):
        event.contacts = 4  # type: ignore[misc]  # that it cannot be written is what is tested
    assert event == Joined(1.0, 3)
