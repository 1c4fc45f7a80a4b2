"""What is run and in which order; what cannot be is refused before any work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import plan
from benchmarks.environments import LABELS, Driver
from benchmarks.plan import Impossible, Job, Options, check, jobs

PEERS = ("kadnet", "kademlia", "pylibp2p")


def the_jobs(options: Options, **cannot: dict[str, str]) -> list[Job]:
    drivers = [Driver(peer, ("run", peer)) for peer in PEERS]
    return jobs(options, drivers, {peer: cannot.get(peer, {}) for peer in PEERS})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"repeats": 0}, "--repeats 0"),
        ({"processes": 30, "killed": 30}, "nobody would be left"),
        ({"killed": 0}, "--killed"),
        ({"nodes": (32, 8)}, "--nodes 8"),
        ({"values": 0}, "--values 0"),
        ({"seconds": 0.0}, "--seconds 0"),
        ({"seconds": float("nan")}, "--seconds nan"),
        ({"seconds": float("inf")}, "--seconds inf"),
        ({"nodes": (10_000_000,)}, "MiB"),
        ({"processes": 10_000_000}, "MiB"),
    ],
)
def test_options_that_cannot_be_are_refused(
    change: dict[str, object], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_available_mib", lambda: 4096)
    check(Options())
    with pytest.raises(Impossible, match=named) as refused:
        check(replace(Options(), **change))  # type: ignore[arg-type]  # the cases name their own fields
    assert "\n" not in str(refused.value)


def test_all_peers_do_one_row_one_after_the_other_and_take_turns_at_being_first() -> None:
    found = [job.peer for job in the_jobs(Options(rows=("stream",), repeats=3)) if job.row == "stream-1024"]
    kadnet, kademlia, pylibp2p = PEERS
    assert found == [kadnet, kademlia, pylibp2p, kademlia, pylibp2p, kadnet, pylibp2p, kadnet, kademlia]


def test_a_peer_is_not_asked_what_it_cannot_do() -> None:
    options = Options(rows=("kill", "ping"), repeats=1)
    found = {(job.row, job.peer) for job in the_jobs(options, kademlia={"node": "…"}, pylibp2p={"ping": "…"})}
    assert ("kill", "kademlia") not in found
    assert ("ping", "pylibp2p") not in found
    assert {("ping", "kademlia"), ("kill", "kadnet")} <= found
    assert ("kill", "pylibp2p") not in found


def test_a_slow_peer_is_spared_the_large_overlay_and_given_fewer_values() -> None:
    found = the_jobs(Options(rows=("overlay",), repeats=1))
    slow = [job for job in found if job.peer == "pylibp2p"]
    assert [(job.row, job.command[-1]) for job in slow] == [("overlay-32", "20")]
    assert [job.command[-1] for job in found if job.peer == "kademlia"] == ["200", "200"]


def test_limits_and_a_node_at_rest_are_measured_once() -> None:
    rows = [job.row for job in the_jobs(Options(rows=("largest", "idle"), repeats=3))]
    assert rows.count("largest") == len(PEERS)
    assert rows.count("idle") == 1


def test_only_a_run_of_everything_in_its_usual_size_is_a_whole_one() -> None:
    assert Options().whole
    assert Options(repeats=9).whole
    for change in ({"repeats": 4}, {"rows": ("ping",)}, {"peers": tuple(LABELS)[:2]}, {"values": 20}):
        assert not replace(Options(), **change).whole
