from kadnet.kademlia.limits import PrefixBudgets, TokenBucket


def passes(bucket: TokenBucket, now: float, tries: int) -> int:
    return sum(bucket.allow(now) for _ in range(tries))


def test_a_bucket_starts_full_whatever_the_clock_says() -> None:
    assert passes(TokenBucket(rate=1, burst=5), now=1e9, tries=10) == 5


def test_a_bucket_fills_with_time_and_no_further_than_its_burst() -> None:
    bucket = TokenBucket(rate=2, burst=5)
    assert passes(bucket, 0.0, 10) == 5
    assert passes(bucket, 1.0, 10) == 2
    assert passes(bucket, 1000.0, 10) == 5


def test_time_running_backwards_adds_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=3)
    assert passes(bucket, 10.0, 5) == 3
    assert passes(bucket, 0.0, 5) == 0
    assert passes(bucket, 10.0, 5) == 0
    assert passes(bucket, 11.0, 5) == 1


def test_a_dear_thing_costs_more_and_a_refusal_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=5)
    assert bucket.allow(0.0, cost=4)
    assert not bucket.allow(0.0, cost=4)
    assert bucket.allow(0.0, cost=1)
    assert not bucket.allow(0.0)


def test_one_prefix_does_not_spend_what_is_anothers() -> None:
    budgets = PrefixBudgets(rate=1, burst=3, node_rate=100, node_burst=100, max_prefixes=10)
    assert sum(budgets.allow(b"a", 0.0) for _ in range(50)) == 3
    assert sum(budgets.allow(b"b", 0.0) for _ in range(50)) == 3


def test_the_node_has_a_budget_over_all_prefixes() -> None:
    budgets = PrefixBudgets(rate=1, burst=3, node_rate=1, node_burst=5, max_prefixes=1000)
    assert sum(budgets.allow(bytes([i]), 0.0) for i in range(200)) == 5
    assert sum(budgets.allow(bytes([i]), 2.0) for i in range(200)) == 2


def test_a_noisy_prefix_spends_nothing_of_the_node_once_its_own_is_gone() -> None:
    budgets = PrefixBudgets(rate=1, burst=3, node_rate=1, node_burst=5, max_prefixes=10)
    assert sum(budgets.allow(b"noisy", 0.0) for _ in range(1000)) == 3
    assert sum(budgets.allow(b"quiet", 0.0) for _ in range(10)) == 2


def test_a_busy_node_is_not_charged_to_the_prefix() -> None:
    budgets = PrefixBudgets(rate=0, burst=2, node_rate=1, node_burst=1, max_prefixes=10)
    assert budgets.allow(b"other", 0.0)
    assert not any(budgets.allow(b"ours", 0.0) for _ in range(10))
    assert [budgets.allow(b"ours", now) for now in (1.0, 2.0, 3.0)] == [True, True, False]


def test_the_prefix_used_longest_ago_is_forgotten_first() -> None:
    budgets = PrefixBudgets(rate=0, burst=1, node_rate=0, node_burst=100, max_prefixes=2)
    assert budgets.allow(b"a", 0.0)
    assert budgets.allow(b"b", 0.0)
    assert not budgets.allow(b"a", 0.0)  # used again: b is the oldest now
    assert budgets.allow(b"c", 0.0)
    assert len(budgets) == 2
    assert not budgets.allow(b"a", 0.0), "a is remembered"
    assert budgets.allow(b"b", 0.0), "b was forgotten"
