"""The virtual internet under any options: books that balance, and runs that repeat themselves."""

from __future__ import annotations

import random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kadnet import lab
from kadnet.identity.address import Endpoint
from kadnet.lab.nat import KINDS

PARTS = st.sampled_from([0.0, 0.1, 0.9, 1.0])
RATES = st.sampled_from([None, 500.0, 50_000.0])
OPTIONS = st.builds(
    lab.NetworkOptions,
    latency=st.sampled_from([lab.Constant(0.0), lab.Constant(0.2), lab.Coordinates(1)]),
    loss=PARTS,
    duplication=PARTS,
    reordering=PARTS,
    jitter=st.sampled_from([0.0, 0.5]),
    bandwidth=st.none() | st.tuples(RATES, RATES),
    line_queue=st.sampled_from([1500, 65_536]),
    inbox=st.sampled_from([3, 1024]),
)


def play(options: lab.NetworkOptions, kind: str, seed: int) -> tuple[str, lab.Accounting]:
    """Hosts, two of them behind a box, send each other datagrams while some are cut off, paused or killed."""

    async def main() -> tuple[str, lab.Accounting]:
        rng = random.Random(seed)
        async with lab.virtual_internet(options, seed=seed) as internet:
            box = internet.nat("box", "20.0.9.9", kind, mapping_lifetime=3.0)
            hosts = [internet.host(f"h{n}", [f"20.0.{n}.1"]) for n in range(3)]
            hosts += [internet.host(f"p{n}", [f"192.168.1.{n}"], behind=box) for n in (1, 2)]
            ports = [await host.datagrams(Endpoint(host.addresses[0], 7)) for host in hosts]
            targets = [port.local for port in ports] + [Endpoint("20.0.9.9", port) for port in (20_000, 20_001)]
            for _ in range(150):
                rng.choice(ports).send(rng.randbytes(rng.randrange(1000)), rng.choice(targets))
                assert internet.accounting.balanced
                if rng.random() < 0.1:
                    do = rng.choice([internet.cut, internet.heal])
                    do(*rng.sample(hosts, 2))
                    rng.choice([internet.pause, internet.resume])(rng.choice(hosts))
                await trio.sleep(rng.choice([0.0, 0.01, 0.5]))
            internet.kill(hosts[0])
            await trio.sleep(1000)
            assert internet.accounting.in_flight == 0
            return internet.trace.hexdigest(), internet.accounting

    return lab.run(main, seed=seed)


@settings(max_examples=25)
@given(OPTIONS, st.sampled_from(list(KINDS)), st.integers(0, 3))
def test_the_books_balance_at_any_time_and_a_seed_is_a_run(options: lab.NetworkOptions, kind: str, seed: int) -> None:
    trace, books = play(options, kind, seed)
    assert books.balanced
    assert play(options, kind, seed) == (trace, books)
    if options.bandwidth is None and not options.loss and options.inbox > 3:
        assert books.lost == books.lost_by["cut"] + books.lost_by["nat"]
