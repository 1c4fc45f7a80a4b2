import random
from dataclasses import replace
from itertools import pairwise

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import ChangeKind, EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.revalidation import RevalidationSettings
from kadnet.kademlia.table import RoutingTable, TableSettings


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(32, "big"), Endpoint(f"20.{number // 256}.{number % 256}.1", 7420))


def table(settings: RevalidationSettings | None = None, *, seed: int = 1) -> RoutingTable:
    settings = settings if settings is not None else RevalidationSettings()
    return RoutingTable(bytes(32), TableSettings(revalidation=settings), random.Random(seed))


def views(table: RoutingTable) -> dict[bytes, EntryView]:
    return {entry.contact.id: entry for bucket in table.snapshot() for entry in bucket.entries}


def run(table: RoutingTable, start: float, end: float, alive: bool = True) -> list[tuple[float, Contact]]:
    """Follows `wake_at` from start to end, answering or failing every ping at once; gives the pings."""
    sent = []
    now = start
    while True:
        pings, wake_at = table.advance(now)
        for ping in pings:
            sent.append((now, ping.contact))
            if alive:
                table.answered(ping.contact, None, now)
            else:
                table.failed(ping.contact.id, now, endpoint=ping.contact.endpoint)
        if pings:
            _, wake_at = table.advance(now)
        if wake_at is None or wake_at > end:
            return sent
        now = wake_at


NEVER_FRESH = RevalidationSettings(fresh=0.0)


def test_an_empty_table_has_nothing_to_do() -> None:
    assert table().advance(5.0) == ([], None)


def test_a_new_contact_is_due_within_the_fast_interval() -> None:
    moments = set()
    for seed in range(200):
        ours = table(seed=seed)
        ours.answered(contact(1), None, 100.0)
        pings, wake_at = ours.advance(100.0)
        assert pings == []
        assert wake_at is not None
        moments.add(wake_at)
    assert 100.0 <= min(moments) < 100.2
    assert 102.8 < max(moments) < 103.0
    assert 101.3 < sum(moments) / len(moments) < 101.7


def test_a_contact_that_passes_is_asked_at_the_slow_pace() -> None:
    ours = table(NEVER_FRESH)
    ours.answered(contact(1), None, 0.0)
    sent = run(ours, 0.0, 9000.0)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sent)]
    assert sent[0][0] < 3.0
    assert max(gaps) < 9.0
    assert max(gaps) > 8.8
    assert 4.3 < sum(gaps) / len(gaps) < 4.7
    assert not views(ours)[contact(1).id].fast


def test_every_contact_is_asked_in_time_one_at_a_tick() -> None:
    ours = table(NEVER_FRESH)
    for number in range(1, 31):
        ours.answered(contact(number), None, 0.0)
    standing = len(ours)
    sent = run(ours, 0.0, 2000.0)
    assert {peer.id for _, peer in sent} == set(views(ours))
    times = [now for now, _ in sent]
    assert len(set(times)) == len(times), "one contact a tick"
    assert len(times) < standing + 2000 / 4.5 * 1.3, "upkeep does not grow with the table"


def test_passing_earns_credit_and_failing_divides_it_by_three() -> None:
    ours = table(NEVER_FRESH)
    ours.answered(contact(1), None, 0.0)
    ours.answered(contact(2), None, 0.0)
    end = 0.0
    while views(ours)[contact(1).id].checks < 10:
        run(ours, end, end + 20.0)
        end += 20.0
    before = views(ours)[contact(1).id].checks
    assert ours.failed(contact(1).id, end).kind is ChangeKind.KEPT
    entry = views(ours)[contact(1).id]
    assert entry.checks == before // 3
    assert entry.fast, "who failed is in doubt"


def test_the_dead_leave_and_the_last_one_is_still_asked() -> None:
    ours = table()
    for number in range(1, 11):
        ours.answered(contact(number), None, 0.0)
    run(ours, 20.0, 200.0, alive=False)
    assert len(ours) == 1
    assert len(run(ours, 200.0, 300.0, alive=False)) > 20, "who is the last hope is asked at the fast pace"


def test_a_recent_answer_passes_without_a_ping() -> None:
    ours = table(RevalidationSettings(fresh=10.0))
    ours.answered(contact(1), None, 0.0)
    now, pings = 0.0, 0
    while now < 100.0:
        sent, wake_at = ours.advance(now)
        pings += len(sent)
        assert wake_at is not None
        for moment in range(int(now) + 1, int(wake_at) + 1):  # it answers other questions once a second
            ours.answered(contact(1), None, float(moment))
        now = wake_at
    assert pings == 0
    entry = views(ours)[contact(1).id]
    assert not entry.fast
    assert entry.checks > 10
    ours.advance(now)
    assert run(ours, now + 30.0, now + 60.0), "once it is silent it is asked again"


def test_one_answer_is_worth_one_check() -> None:
    ours = table(RevalidationSettings(fresh=1000.0))
    ours.answered(contact(1), None, 0.0)
    ours.answered(contact(1), None, 1.0)
    assert run(ours, 1.0, 900.0) == []
    assert views(ours)[contact(1).id].checks == 2


def test_a_contact_that_failed_since_is_asked_however_recent_its_answer() -> None:
    ours = table(RevalidationSettings(fresh=1000.0))
    ours.answered(contact(1), None, 0.0)
    ours.failed(contact(1).id, 0.5)
    assert [peer for _, peer in run(ours, 0.5, 10.0)][:1] == [contact(1)]


def test_a_ping_in_flight_is_not_sent_again() -> None:
    ours = table(replace(NEVER_FRESH, patience=50.0))
    ours.answered(contact(1), None, 0.0)
    sent = []
    now: float | None = 0.0
    while now is not None and now < 49.0:
        pings, now = ours.advance(now)
        sent += pings
    assert len(sent) == 1


def test_a_ping_whose_fate_is_never_told_is_forgotten() -> None:
    ours = table(replace(NEVER_FRESH, patience=50.0))
    ours.answered(contact(1), None, 0.0)
    first, _ = ours.advance(3.0)
    assert len(first) == 1
    assert ours.advance(52.9)[0] == []
    assert len(ours.advance(56.0)[0]) == 1


def test_another_contact_is_drawn_while_one_is_in_flight() -> None:
    ours = table(replace(NEVER_FRESH, patience=1000.0))
    for number in (1, 2, 3):
        ours.answered(contact(number), None, 0.0)
    sent = [ping.contact for now in range(4, 60, 4) for ping in ours.advance(float(now))[0]]
    assert len(sent) == 3
    assert set(sent) == {contact(1), contact(2), contact(3)}


def test_a_check_is_sent_at_once() -> None:
    ours = table()
    ours.answered(contact(1), None, 0.0)
    assert ours.heard(contact(2), 0.0)
    pings, _ = ours.advance(0.0)
    assert [ping.contact for ping in pings] == [contact(2)]
    assert ours.advance(0.0)[0] == []


def test_a_check_that_was_answered_meanwhile_is_not_sent() -> None:
    ours = table()
    ours.heard(contact(2), 0.0)
    ours.answered(contact(2), None, 0.0)
    assert ours.advance(0.0)[0] == []


def test_checks_are_bounded_waiting_and_in_flight_together() -> None:
    ours = table(RevalidationSettings(check_queue=10))
    assert sum(ours.heard(contact(number), 0.0) for number in range(1, 100)) == 10
    assert len(ours.advance(0.0)[0]) == 10
    assert not ours.heard(contact(200), 0.0)
    ours.failed(contact(1).id, 1.0)
    assert [ours.heard(contact(number), 1.0) for number in (200, 201)] == [True, False]
    ours.advance(1.0)
    ours.advance(11.5)  # past patience: nobody told us of the others
    assert sum(ours.heard(contact(number), 11.5) for number in range(300, 400)) == 10


def test_the_memory_of_checks_is_bounded_and_forgets_the_oldest() -> None:
    ours = table(RevalidationSettings(max_checked=5))
    for number in range(1, 7):
        assert ours.heard(contact(number), 0.0)
        ours.advance(0.0)
        ours.failed(contact(number).id, 0.0)
    assert not ours.heard(contact(6), 1.0)
    assert not ours.heard(contact(2), 1.0)
    assert ours.heard(contact(1), 1.0)


def test_a_promoted_contact_is_asked_and_the_evicted_one_is_not() -> None:
    ours = RoutingTable(bytes(32), TableSettings(k=1, revalidation=NEVER_FRESH), random.Random(1))
    first = contact(1)
    ours.answered(first, None, 0.0)
    bucket = ours.snapshot()[0].index
    for number in range(2, 50):
        ours.answered(contact(number), None, 0.0)
    standing = next(view for view in ours.snapshot() if view.index == bucket)
    assert ours.failed(first.id, 1.0).contact == standing.replacements[-1]
    asked = {peer for _, peer in run(ours, 1.0, 500.0)}
    assert standing.replacements[-1] in asked
    assert first not in asked
    assert asked == set(ours.contacts())


def test_the_same_chance_gives_the_same_pings() -> None:
    runs = []
    for _ in range(2):
        ours = table(NEVER_FRESH, seed=7)
        for number in range(1, 20):
            ours.answered(contact(number), None, 0.0)
        runs.append(run(ours, 0.0, 200.0))
    assert runs[0] == runs[1]
    assert len(runs[0]) > 30
