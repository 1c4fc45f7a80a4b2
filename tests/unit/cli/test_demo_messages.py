from __future__ import annotations

import io

from kadnet.cli.demo_fleet import Member
from kadnet.cli.demo_messages import talk_through
from kadnet.cli.demo_screen import Screen
from kadnet.cli.demo_talk import Talk, TalkSettings
from tests.unit.cli.demo_fake import PretendedFleet


def told(fleet: PretendedFleet, messages: int = 2) -> tuple[Talk, str]:
    stream = io.StringIO()
    talk = Talk(TalkSettings(patience=1.0, page=1.0), fleet.overlay.clock)
    talk_through(fleet, Screen(stream), talk, messages, ())  # type: ignore[arg-type]  # what is needed of a fleet
    return talk, stream.getvalue()


def fleet_of(count: int) -> PretendedFleet:
    fleet = PretendedFleet()
    list(fleet.start(count))
    return fleet


def test_the_receiver_dies_twice_and_the_sender_once_and_nobody_else() -> None:
    fleet = fleet_of(10)
    talk, _ = told(fleet)
    one, other = talk.letters[0].sender, talk.letters[0].to
    assert fleet.kills == [other, other, one]
    assert 0 not in (one, other)
    assert fleet.overlay.alive == set(range(10))


def test_every_letter_is_shown_on_its_way() -> None:
    talk, shown = told(fleet_of(10))
    assert talk.misses == []
    lines = [line.split() for line in shown.splitlines() if "→" in line and '"' in line]
    one, other = f"{talk.letters[0].sender:02}", f"{talk.letters[0].to:02}"
    ways = [(line[0], line[2], line[-1] if line[-1] == "queued" else "delivered") for line in lines]
    assert ways == [
        (one, other, "delivered"), (other, one, "delivered"),
        (one, other, "delivered"), (other, one, "delivered"),
        (one, other, "queued"), (one, other, "queued"), (one, other, "delivered"), (one, other, "delivered"),
        (one, other, "queued"), (one, other, "queued"), (one, other, "delivered"), (one, other, "delivered"),
    ]  # fmt: skip
    assert all("delivered" in line for line in lines if line[-1] != "queued")
    assert f"the outbox of {one} holds 2 for {other}" in shown
    assert shown.count("2 of 2 delivered, one link between them") == 2
    assert max(map(len, shown.splitlines())) <= 88


def test_a_message_to_a_third_node_is_a_miss() -> None:
    fleet = fleet_of(10)
    fleet.overlay.strays.add(0)
    talk, _ = told(fleet)
    assert talk.misses == ["00 was sent nothing and holds messages: 8"]


def test_a_second_link_between_the_two_is_a_miss() -> None:
    class Twofold(PretendedFleet):
        def until(self, check: object) -> bool:
            self.overlay.links |= {pair | {99} for pair in self.overlay.links}
            return super().until(check)  # type: ignore[arg-type]  # it is what it takes

    fleet = Twofold()
    list(fleet.start(10))
    talk, shown = told(fleet)
    assert "links, not one each" in talk.misses[0]
    assert "delivered, links: 2 and 2" in shown


def test_an_outbox_that_loses_a_message_with_its_process_is_a_miss() -> None:
    class Forgetful(PretendedFleet):
        def kill(self, member: Member) -> None:
            super().kill(member)
            self.overlay.outboxes.pop(member.number, None)

    fleet = Forgetful()
    list(fleet.start(10))
    talk, shown = told(fleet, messages=1)
    assert "held 0, not 1" in talk.misses[0]
    assert 'from my disk, 1 of 1": did not arrive in time' in talk.misses[-1]
    assert "did not arrive, not delivered" in shown
    assert "0 of 1 delivered" in shown
