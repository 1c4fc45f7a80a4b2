"""What strangers can do to the port of a node, and what it does to the links of others: nothing."""

from __future__ import annotations

import random
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.system.processes import Running, Town, until
from tests.system.relay import HOST
from tests.system.talking import texts

SILENT = 1_000
HEADER = b"KDN1\x01\x00"  # of a handshake; 4 bytes of length and 4 of CRC-32 follow


def rss(node: Running) -> float:
    """MiB of memory."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def descriptors(node: Running) -> int:
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def refusals(node: Running) -> dict[str, int]:
    found: dict[str, int] = node.status()["counters"]["links"]["refused"]
    return found


def called(node: Running) -> socket.socket:
    return socket.create_connection((HOST, node.port), 30.0)


def shut_out(stranger: socket.socket, *, typing: bytes = b"") -> bytes:
    """Wait until the node closes the connection, and type a byte each second meanwhile. What it said before."""
    heard = b""
    with suppress(ConnectionResetError, BrokenPipeError):  # it closes on what it does not read
        while True:
            readable, _, _ = select.select([stranger], [], [], 1.0)
            if readable:
                part = stranger.recv(4096)
                if not part:
                    break
                heard += part
            elif typing:
                stranger.send(typing[:1])
                typing = typing[1:]
    return heard


def nonsense(node: Running, rng: random.Random) -> dict[str, int]:
    """Bytes that are no link's, one connection each: how often each kind of it was turned away."""
    half = HEADER + (96).to_bytes(4, "big") + bytes(4)
    kinds = {
        "frame-magic": [b"k" + rng.randbytes(rng.choice((0, 10, 100, 5_000))) for _ in range(100)],
        "frame-length": [HEADER + length.to_bytes(4, "big") + rng.randbytes(64) for length in (2**32 - 1, 1_025)],
        "frame-command": [b"KDN1\x07\x00" + bytes(8), b"KDN1\x02\x00" + bytes(8)],
        "frame-flags": [b"KDN1\x01\x01" + bytes(8)],
        "frame-crc": [half + b"x" * 96],
        "gone": [b"", half[:7], half + b"x" * 40],
    }
    for datas in kinds.values():
        for data in datas:
            with called(node) as stranger:
                with suppress(OSError):  # it may have heard enough before the end
                    stranger.sendall(data)
                    stranger.shutdown(socket.SHUT_WR)
                assert shut_out(stranger) == b"", "nobody is told anything"
    return {reason: len(datas) for reason, datas in kinds.items()}


def risen(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {reason: count - before.get(reason, 0) for reason, count in after.items() if count > before.get(reason, 0)}


def test_bytes_that_are_no_link_are_dropped_and_counted_each_for_its_reason(pair: tuple[Running, Running]) -> None:
    beset, honest = pair
    rng = random.Random(7)
    nonsense(beset, rng)
    assert honest("send", beset.id, "meanwhile").out == "delivered\n"
    before, memory, open_before = refusals(beset), rss(beset), descriptors(beset)
    for _ in range(5):
        expected = nonsense(beset, rng)
    until(lambda: sum(risen(before, refusals(beset)).values()) == 5 * sum(expected.values()))
    assert risen(before, refusals(beset)) == {reason: 5 * count for reason, count in expected.items()}
    assert rss(beset) - memory < 4.0
    until(lambda: descriptors(beset) <= open_before + 1)  # one for the command that was asked last
    assert len(beset.said().splitlines()) < 20, "a stranger cannot fill the log"
    assert honest("send", beset.id, "afterwards").out == "delivered\n"
    assert texts(beset)[-2:] == ["meanwhile", "afterwards"]


def test_who_is_slow_or_silent_is_shut_out_in_time_and_others_are_served_meanwhile(
    pair: tuple[Running, Running],
) -> None:
    beset, honest = pair
    before = refusals(beset)
    with called(beset) as slow, called(beset) as half, called(beset) as silent:
        hello = HEADER + (96).to_bytes(4, "big") + bytes(100)
        half.sendall(hello[:60])
        assert honest("send", beset.id, "while some are slow").out == "delivered\n"
        for stranger, typing in ((slow, hello), (half, b""), (silent, b"")):
            assert shut_out(stranger, typing=typing) == b""
    until(lambda: risen(before, refusals(beset)) == {"unproven-in-time": 3})
    assert texts(beset)[-1] == "while some are slow"


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """Let this process have so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def come(crowd: ExitStack, node: Running, count: int) -> None:
    """Call and say nothing. By the hundred: a caller for whom the system has no room waits a second and comes again."""
    for number in range(count):
        crowd.enter_context(called(node))
        if number % 100 == 99:
            assert node("outbox").code == 0, "it serves its own people, and has met whoever has called"


def test_a_thousand_who_say_nothing_cost_little_and_keep_nobody_out(town: Town) -> None:
    beset, honest, other = town.overlay(3)
    assert other("send", beset.id, "before").code == 0
    with ExitStack() as crowd:
        come(crowd, beset, 200)
    until(lambda: sum(refusals(beset).values()) == 200)
    memory, open_before = rss(beset), descriptors(beset)
    before = beset.status()["counters"]["links"]
    with room_for(SILENT + 200), ExitStack() as crowd:
        come(crowd, beset, SILENT)
        assert honest("send", beset.id, "through the crowd").out == "delivered\n"
        assert other("send", beset.id, "and over a link").out == "delivered\n"
        links = beset.status()["counters"]["links"]
        assert links["accepted"] - before["accepted"] > SILENT
        shut = risen(before["refused"], links["refused"])
        assert shut.get("displaced", 0) + shut.get("unproven-in-time", 0) >= SILENT - 100, "without a word from them"
        assert descriptors(beset) < open_before + 100
        assert rss(beset) - memory < 4.0
    until(lambda: sum(risen(before["refused"], refusals(beset)).values()) >= SILENT)
    assert set(risen(before["refused"], refusals(beset))) <= {"displaced", "unproven-in-time", "gone"}
    until(lambda: descriptors(beset) <= open_before + 2)  # one for the link to who came through the crowd
    assert texts(beset) == ["before", "through the crowd", "and over a link"]
    assert honest("send", beset.id, "and afterwards").out == "delivered\n"
