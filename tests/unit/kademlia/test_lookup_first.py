"""The closest few alone, where they are enough."""

from __future__ import annotations

from kadnet.kademlia.lookup import Lookup, LookupSettings
from kadnet.kademlia.outcome import AGREED, ARRIVED
from tests.unit.kademlia.distances import OWN, RTO, peer, peers

SETTINGS = LookupSettings(k=6, parallelism=3, arrived_parallelism=6)


class Few:
    """A lookup towards 0 among ten peers, which asks the three closest first; `agreed` is what they say."""

    def __init__(self) -> None:
        self.agreed = True
        self.lookup = Lookup(
            0,
            peers(*range(1, 11)),
            SETTINGS,
            own_id=OWN,
            timeout=lambda contact: RTO,
            now=0.0,
            near=100,
            first=3,
            agreed=lambda: self.agreed,
        )

    def asked(self, now: float = 0.0) -> list[tuple[int, int]]:
        return [(ask.contact.position, ask.attempt) for ask in self.lookup.advance(now)[0]]

    def reply(self, *who: int, now: float = 0.0) -> None:
        for each in who:
            self.lookup.on_reply(peer(each).id, (), now)


def test_the_first_are_asked_alone_and_are_enough_where_they_agree() -> None:
    few = Few()
    assert few.asked() == [(1, 1), (2, 1), (3, 1)]
    few.reply(1, 2)
    assert few.asked() == []
    few.reply(3)
    assert few.asked() == []
    assert few.lookup.reason == AGREED
    assert few.lookup.queries == 3


def test_where_they_do_not_agree_the_others_of_the_k_are_asked_as_ever() -> None:
    few = Few()
    few.asked()
    few.agreed = False
    few.reply(1, 2, 3)
    assert few.asked() == [(4, 1), (5, 1), (6, 1)]
    few.agreed = True
    few.reply(4, 5)
    few.asked()
    assert not few.lookup.done
    few.reply(6)
    few.asked()
    assert few.lookup.reason == ARRIVED


def test_where_one_of_them_is_in_doubt_their_agreement_is_not_enough() -> None:
    few = Few()
    few.asked()
    few.reply(1, 2, now=0.1)
    assert few.asked(RTO) == [(4, 1), (5, 1), (6, 1), (7, 1), (3, 2)]
    assert not few.lookup.done


def test_somebody_closer_who_is_named_has_to_agree_as_well() -> None:
    few = Few()
    few.asked()
    few.lookup.on_reply(peer(2).id, peers(0), 0.1)
    assert few.asked(0.1) == [(0, 1)]
    few.reply(1, 3, now=0.2)
    few.asked(0.2)
    assert not few.lookup.done
    few.reply(0, now=0.3)
    few.asked(0.3)
    assert few.lookup.reason == AGREED
