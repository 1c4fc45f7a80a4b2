from __future__ import annotations

import random
import select
from pathlib import Path

from kadnet.client import Client
from tests.system.processes import Running, Town, bound, free_port, kadnet, refused, until


def test_a_port_in_use_is_refused_by_name(tmp_path: Path) -> None:
    with bound() as taken:
        port = taken.getsockname()[1]
        refused(kadnet(tmp_path, "run", "--listen", f"127.0.0.1:{port}"), str(port), "in use", "--listen")
    refused(kadnet(tmp_path, "run", "--listen", "192.0.2.1:0"), "192.0.2.1")


def test_an_unreachable_bootstrap_is_named_and_joined_when_it_comes_up(town: Town) -> None:
    port = free_port()
    seed = f"127.0.0.1:{port}"
    node = town.start(town.folder("a"), bootstrap=[seed, "nowhere.invalid:7420"])

    def problems() -> dict[str, str]:
        states = node.status()["bootstrap"]
        return {s["address"]: s["problem"] for s in states if s["problem"] is not None}

    named = until(lambda: problems() if len(problems()) == 2 else {})
    assert f"127.0.0.1 port {port}" in named[seed]
    assert "nowhere.invalid" in named["nowhere.invalid:7420"]
    shown = node("status").out
    assert f"{seed}: no answer from 127.0.0.1 port {port}" in shown
    assert not node.status()["joined"]

    done = node("put", "waiting", "room", "--json")
    assert done.code == 1
    assert done.json["replicas"] == 0
    assert "no other node" in done.err
    assert node("get", "waiting").out == "room", "it is kept here"
    nobody = node("get", "unknown", "--json")
    assert nobody.code == 1
    assert nobody.json["code"] == "not-connected"

    late = town.start(town.folder("b"), listen=seed)
    until(lambda: node.status()["joined"])
    (state, _) = node.status()["bootstrap"]
    assert state["answered"]
    assert state["problem"] is None
    assert state["attempts"] > 1
    # What could not be stored is stored now, without being asked again.
    assert until(lambda: late.status()["records"])
    assert late("get", "waiting").out == "room"


def overheard(town: Town, target: Running) -> list[bytes]:
    """Datagrams that a real node sends to `target`, and its answers: they meet through a port of ours."""
    with bound() as middle:
        node = town.start(town.folder("talker"), bootstrap=[f"127.0.0.1:{middle.getsockname()[1]}"])
        heard: list[bytes] = []
        while len(heard) < 12 and select.select([middle], [], [], 5.0)[0]:
            data, source = middle.recvfrom(2048)
            heard.append(data)
            middle.sendto(data, ("127.0.0.1", target.port if source[1] == node.port else node.port))
        assert len(heard) >= 6
        node.kill()
    return heard


def mutated(real: list[bytes], rng: random.Random) -> bytes:
    data = bytearray(rng.choice(real))
    how = rng.randrange(5)
    if how == 0:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del data[rng.randrange(len(data)) :]
    elif how == 2:
        data += rng.randbytes(rng.randrange(1, 300))
    elif how == 3:
        start = rng.randrange(len(data))
        data[start : start + 16] = rng.randbytes(16)
    else:
        other = rng.choice(real)
        cut = rng.randrange(1, len(data))
        data[cut:] = other[cut:]
    return bytes(data)


def scribbled(rng: random.Random) -> bytes:
    data = bytearray(rng.randbytes(rng.choice((0, 1, 2, 50, 66, 82, 96, 98, 500, 1232, 1233, 1500, 9000))))
    if rng.random() < 0.7:
        data[:2] = bytes((0x6B, rng.choice((0x11, 0x12, 0x13, 0x14, 0x15))))[: len(data)]
    return bytes(data)


def test_any_datagram_at_all_is_dropped_and_counted_and_the_node_serves_on(town: Town) -> None:
    first, target = town.overlay(2)
    real = overheard(town, target)
    rng = random.Random(20_240_501)
    client = Client(target.data_dir)
    before = client.status().counters["rpc"]
    sent = 0
    with bound() as stranger:
        for _ in range(60):
            for _ in range(50):
                stranger.sendto(scribbled(rng), ("127.0.0.1", target.port))
                stranger.sendto(mutated(real, rng), ("127.0.0.1", target.port))
                sent += 2
            # One answer of the node for each batch: it has read what was sent, and none is lost in a full buffer.
            assert client.status().id == target.id
    assert sent == 6000
    until(lambda: target.status()["counters"]["rpc"]["datagrams_in"] >= before["datagrams_in"] + sent * 0.95)
    rpc = target.status()["counters"]["rpc"]
    dropped = sum(rpc["dropped"].values()) - sum(before["dropped"].values())
    assert dropped > sent * 0.9
    assert len(rpc["dropped"]) >= 4, "each kind of nonsense has its own reason"
    assert "dropped" in target("status").out
    assert next(iter(sorted(rpc["dropped"]))) in target("status").out
    assert first("put", "after", "the storm").code == 0
    assert target("get", "after").out == "the storm"
    assert target("ping", first.id).code == 0
    assert "error" not in target.said()
    assert len(target.said().splitlines()) < 10, "a stranger cannot fill the log"
