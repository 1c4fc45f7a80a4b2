"""A record on its way, whatever its holders do and whenever: nobody is sent it twice, and the end is reached."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.spreading import Spread, SpreadSettings
from tests.unit.kademlia.tables import take

PEERS = take(24)


@given(
    wanted=st.integers(1, 20),
    near=st.integers(0, 2**256),
    replies=st.lists(st.sampled_from(PEERS), unique=True),
    walk_ends_after=st.integers(0, 24),
    answers=st.lists(st.sampled_from(("took", "cannot", "will not")), min_size=64, max_size=64),
    delays=st.lists(st.booleans(), min_size=128, max_size=128),
)
def test_everybody_is_sent_it_once_the_closest_among_them_and_the_end_is_reached(
    wanted: int, near: int, replies: list[Contact], walk_ends_after: int, answers: list[str], delays: list[bool]
) -> None:
    spread = Spread(0, wanted, SpreadSettings(), is_near=lambda distance, k: k == wanted and distance < near)
    sent: list[Contact] = []
    waiting: list[Contact] = []
    was_enough = False

    def send(contacts: list[Contact]) -> None:
        sent.extend(contacts)
        waiting.extend(contacts)

    def answer() -> None:
        waiting.pop()
        what = answers.pop()
        if what == "took":
            spread.took()
        else:
            instead = spread.refused(replace=what == "cannot")
            send([] if instead is None else [instead])

    replies = replies[:walk_ends_after]
    for contact in replies:
        send([contact] if spread.replied(contact) else [])
        while waiting and delays.pop():
            answer()
        assert not was_enough or spread.is_enough
        was_enough = spread.is_enough
    early = len(sent)
    send(spread.walked(replies))
    assert early <= wanted
    closest = sorted(replies, key=lambda contact: contact.position)[:wanted]
    assert set(closest) <= set(sent)
    while waiting:
        assert not spread.is_over
        answer()
    assert spread.is_over
    assert spread.is_enough
    assert len(set(sent)) == len(sent) <= len(replies)
    assert spread.open == 0
