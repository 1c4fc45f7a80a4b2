"""One key at several holders: whatever comes in whatever order, they agree, and nothing old comes back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from kadnet.overlay.shelf import Act, Floor, Newcomer, Rank, ShelfSettings, Standing, Verdict, decide
from kadnet.wire.messages import Status

SETTINGS = ShelfSettings()


@dataclass
class Holder:
    """A shelf with its floors, kept as the store keeps them: what the verdicts of `decide` come to."""

    settings: ShelfSettings = SETTINGS
    many: bool = True
    shelf: dict[bytes, Standing] = field(default_factory=dict)
    floors: dict[bytes, Floor] = field(default_factory=dict)
    arrivals: int = 0

    def offer(
        self, publisher: bytes, rank: Rank, prefix: bytes = b"", cached: bool = False, by_publisher: bool = False
    ) -> Verdict:
        new = Newcomer(publisher, rank, prefix, cached, by_publisher)
        verdict = decide(list(self.shelf.values()), self.floors.get(publisher), new, self.many, self.settings)
        old = self.shelf.get(publisher)
        if verdict.act is Act.INSERT:
            if verdict.evict is not None:
                self.leave(verdict.evict, lapsed=False)
            self.arrivals += 1
            self.floors.pop(publisher, None)
            self.shelf[publisher] = Standing(publisher, rank, prefix, cached, self.arrivals)
        elif verdict.act is Act.REPLACE:
            assert old is not None
            self.shelf[publisher] = Standing(publisher, rank, old.prefix, cached, old.arrived)
        elif verdict.act is Act.UNCACHE:
            assert old is not None
            self.shelf[publisher] = old._replace(cached=False)
        return verdict

    def leave(self, publisher: bytes, *, lapsed: bool) -> None:
        gone = self.shelf.pop(publisher, None)
        if gone is not None:
            self.floors[publisher] = Floor(*gone.rank[:3], lapsed)


publishers = st.sampled_from([b"A" * 32, b"B" * 32, b"C" * 32])


@st.composite
def ranks(draw: st.DrawFn, seqs: int = 4) -> Rank:
    """Entries of a publisher who also takes a value back under the very seq it had, and renews either."""
    seq, tombstone, expires = draw(st.integers(0, seqs)), draw(st.booleans()), draw(st.integers(100, 104))
    return Rank(seq, tombstone, expires, bytes([seq, tombstone, expires]))


entries = st.tuples(publishers, ranks(), st.booleans())
Entry = tuple[bytes, Rank, bool]


@given(st.lists(entries, min_size=1, max_size=20), st.integers(0, 2**32))
def test_every_holder_that_has_seen_every_record_has_the_same(seen: list[Entry], seed: int) -> None:
    rng = random.Random(seed)
    holders = [Holder() for _ in range(5)]
    for holder in holders:
        for publisher, rank, cached in rng.sample(seen * 2, len(seen) * 2):
            holder.offer(publisher, rank, rng.choice([b"", b"p", b"q"]), cached)
    newest = {who: max(rank for publisher, rank, _ in seen if publisher == who) for who in {one[0] for one in seen}}
    earnest = {(publisher, rank) for publisher, rank, cached in seen if not cached}
    for holder in holders:
        assert {who: standing.rank for who, standing in holder.shelf.items()} == newest
        assert all(standing.cached is ((who, standing.rank) not in earnest) for who, standing in holder.shelf.items())


@given(st.lists(st.tuples(publishers, ranks(), st.sampled_from(["lapse", "evict", ""])), min_size=1, max_size=30))
def test_holders_agree_again_after_lapses_and_evictions_once_a_newer_entry_is_written(
    events: list[tuple[bytes, Rank, str]],
) -> None:
    holders = [Holder() for _ in range(5)]
    for number, (publisher, rank, end) in enumerate(events):
        holders[number % 5].offer(publisher, rank)
        if end:
            holders[(number + 1) % 5].leave(publisher, lapsed=end == "lapse")
    newer = Rank(9, False, 200, b"")
    for holder in holders:
        for publisher in {event[0] for event in events}:
            assert holder.offer(publisher, newer).status is Status.OK
            holder.offer(publisher, newer._replace(seq=8))
        assert {standing.rank for standing in holder.shelf.values()} == {newer}


@given(st.lists(st.tuples(publishers, ranks(), st.sampled_from(["lapse", "evict", "", ""])), min_size=4, max_size=40))
def test_nothing_older_ever_comes_back(events: list[tuple[bytes, Rank, str]]) -> None:
    """Neither a lower seq, nor a value that was taken back under its own seq, nor what expires earlier."""
    holder, highest = Holder(), dict.fromkeys([b"A" * 32, b"B" * 32, b"C" * 32], Rank(-1, False, 0, b""))
    for publisher, rank, end in events:
        verdict = holder.offer(publisher, rank)
        if rank < highest[publisher]:
            assert verdict == (Act.REFUSE, Status.STALE, highest[publisher].seq, None)
        highest[publisher] = max(rank, highest[publisher])
        if publisher in holder.shelf:
            assert holder.shelf[publisher].rank == highest[publisher]
        if end:
            holder.leave(publisher, lapsed=end == "lapse")


@given(st.lists(st.tuples(publishers, ranks(), st.booleans()), min_size=4, max_size=40))
def test_what_lapsed_returns_only_as_something_newer(events: list[tuple[bytes, Rank, bool]]) -> None:
    """A higher seq, a tombstone of what was a value, or a later expiry."""
    holder, lapsed = Holder(), dict[bytes, Rank]()
    for publisher, rank, lapses in events:
        stands = publisher in holder.shelf
        verdict = holder.offer(publisher, rank)
        if not stands and publisher in lapsed:
            assert (verdict.act is Act.INSERT) is (rank > lapsed[publisher])
        if lapses and publisher in holder.shelf:
            lapsed[publisher] = holder.shelf[publisher].rank
            holder.leave(publisher, lapsed=True)


@given(ranks(), st.booleans())
def test_what_was_evicted_may_come_back_as_it_was(rank: Rank, cached: bool) -> None:
    holder = Holder()
    holder.offer(b"A", rank)
    holder.leave(b"A", lapsed=False)
    assert holder.offer(b"A", rank, b"p", cached).act is Act.INSERT


@given(
    st.lists(st.tuples(ranks(), st.booleans(), st.booleans()), min_size=1, max_size=30), st.sampled_from([b"A", b""])
)
def test_only_its_publisher_makes_an_entry_live_longer_and_anybody_a_blob(
    events: list[tuple[Rank, bool, bool]], publisher: bytes
) -> None:
    holder = Holder()
    for rank, cached, by_publisher in events:
        before = holder.shelf.get(publisher)
        verdict = holder.offer(publisher, rank, b"", cached, by_publisher)
        again = before is not None and not before.cached and not cached and before.rank == rank
        assert (verdict.act is Act.EXTEND) >= (again and (by_publisher or not publisher))
        if verdict.act is Act.EXTEND:
            assert before == holder.shelf[publisher]
            assert not cached
            assert by_publisher or not publisher


@given(st.lists(st.tuples(publishers, ranks()), min_size=1, max_size=20))
def test_a_key_of_one_publisher_never_evicts_and_never_is_full(events: list[tuple[bytes, Rank]]) -> None:
    holder = Holder(ShelfSettings(max_entries=1, max_per_prefix=1), many=False)
    for _, rank in events:
        verdict = holder.offer(b"A", rank, b"p")
        assert verdict.evict is None
        assert verdict.status in (Status.OK, Status.STALE)
    assert len(holder.shelf) == 1


strangers = st.tuples(st.integers(0, 300), st.integers(0, 30), st.integers(0, 5), st.integers(0, 1000))


@given(st.lists(strangers, min_size=10, max_size=300), st.integers(1, 64), st.integers(1, 8))
def test_a_shared_key_holds_no_more_than_its_bounds(
    offers: list[tuple[int, int, int, int]], entries: int, each: int
) -> None:
    holder = Holder(ShelfSettings(max_entries=entries, max_per_prefix=each))
    for publisher, prefix, seq, expires in offers:
        verdict = holder.offer(str(publisher).encode(), Rank(seq, False, expires, b""), str(prefix).encode())
        assert len(holder.shelf) <= entries
        prefixes = [standing.prefix for standing in holder.shelf.values()]
        assert all(prefixes.count(one) <= each for one in prefixes)
        assert (verdict.act is Act.REFUSE) is (verdict.status is not Status.OK)


@given(st.lists(strangers, min_size=12, max_size=200), st.integers(0, 2**32))
def test_expiry_never_decides_who_stays(offers: list[tuple[int, int, int, int]], seed: int) -> None:
    rng = random.Random(seed)
    first, second = (Holder(ShelfSettings(max_entries=8, max_per_prefix=3)) for _ in range(2))
    for number, (_, prefix, seq, expires) in enumerate(offers):  # each publisher once
        publisher, place = str(number).encode(), str(prefix).encode()
        one = first.offer(publisher, Rank(seq, False, expires, b""), place)
        other = second.offer(publisher, Rank(seq, False, rng.randrange(1000), b""), place)
        assert one == other
    assert first.shelf.keys() == second.shelf.keys()


@given(st.lists(strangers, min_size=12, max_size=200))  # the shelf is full after eight
def test_who_goes_is_the_newest_of_the_most_represented_prefix(offers: list[tuple[int, int, int, int]]) -> None:
    holder = Holder(ShelfSettings(max_entries=8, max_per_prefix=8))
    for number, (_, prefix, seq, expires) in enumerate(offers):
        publisher, place = str(number).encode(), str(prefix % 6).encode()
        before = dict(holder.shelf)
        verdict = holder.offer(publisher, Rank(seq, False, expires, b""), place)
        if len(before) < 8:
            assert verdict == (Act.INSERT, Status.OK, 0, None)
            continue
        prefixes = [place, *(standing.prefix for standing in before.values())]
        most = max(map(prefixes.count, prefixes))
        if prefixes.count(place) == most:
            assert verdict == (Act.REFUSE, Status.FULL, 0, None)
        else:
            crowded = [standing for standing in before.values() if prefixes.count(standing.prefix) == most]
            assert verdict.evict == max(crowded, key=lambda standing: standing.arrived).publisher


@given(st.integers(1, 8), st.integers(0, 2**32))
def test_twenty_honest_entries_outlive_sixty_four_hostile_ones(hostile_prefixes: int, seed: int) -> None:
    rng = random.Random(seed)
    holder = Holder()
    honest = [(b"honest %d" % n, b"home %d" % (n // 2)) for n in range(20)]  # two of a house
    hostile = [(b"hostile %d" % n, b"den %d" % (n % hostile_prefixes)) for n in range(64)]
    everybody = honest + hostile
    for _ in range(3):  # churn: all renew, and those who were evicted or refused come again
        for publisher, prefix in rng.sample(everybody, len(everybody)):
            standing = holder.shelf.get(publisher)
            expires = 1 + (standing.rank.expires if standing is not None else rng.randrange(1000))
            holder.offer(publisher, Rank(1, False, expires, b""), prefix)
    assert {publisher for publisher, _ in honest} <= holder.shelf.keys()


@given(st.lists(st.tuples(publishers, ranks(), st.booleans()), max_size=20), st.lists(ranks(), max_size=10))
def test_a_renewal_keeps_its_place_and_the_prefix_it_first_came_from(before: list[Entry], renewals: list[Rank]) -> None:
    holder = Holder()
    holder.offer(b"A", Rank(0, False, 0, b""), b"first")
    for publisher, rank, cached in before:
        holder.offer(publisher, rank, b"other", cached)
    for rank in renewals:
        assert holder.offer(b"A", rank, b"second").act is not Act.INSERT
    assert (holder.shelf[b"A"].prefix, holder.shelf[b"A"].arrived) == (b"first", 1)
