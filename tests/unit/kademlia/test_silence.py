from kadnet.identity.address import Endpoint
from kadnet.kademlia.silence import Silence

HERE, THERE = Endpoint("192.0.2.1", 7420), Endpoint("192.0.2.2", 7420)


def silent_twice() -> Silence:
    """Asked at 10 and at 11, and silent."""
    silence = Silence()
    silence.asked(HERE, 10.0)
    silence.asked(HERE, 11.0)
    return silence


def lasts(
    silence: Silence, now: float = 13.0, *, where: Endpoint = HERE, timeout: float = 1.0, heard_at: float = 12.0
) -> bool:
    return silence.lasts(where, now, timeout=timeout, heard_at=heard_at, memory=30.0)


def test_two_requests_without_an_answer_make_a_peer_silent() -> None:
    once = Silence()
    once.asked(HERE, 10.0)
    assert not lasts(once)
    assert lasts(silent_twice())


def test_an_answer_ends_a_silence() -> None:
    silence = silent_twice()
    silence.answered()
    assert not lasts(silence)


def test_the_timers_of_both_requests_must_have_passed() -> None:
    assert not lasts(silent_twice(), timeout=1.5)
    assert lasts(silent_twice(), 13.1, timeout=1.5)


def test_who_heard_from_nobody_blames_nobody() -> None:
    assert not lasts(silent_twice(), heard_at=9.9)


def test_after_a_while_a_silent_peer_deserves_another_chance() -> None:
    assert lasts(silent_twice(), 40.9)
    assert not lasts(silent_twice(), 41.0)


def test_silence_is_of_one_endpoint() -> None:
    silence = silent_twice()
    assert not lasts(silence, where=THERE)
    silence.asked(THERE, 12.0)
    assert silence.unanswered == 1
    assert not lasts(silence, where=THERE)
    assert not lasts(silence, where=HERE)
