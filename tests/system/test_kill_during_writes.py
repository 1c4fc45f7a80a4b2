from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

from kadnet.client import Client
from kadnet.errors import KadnetError
from tests.system.processes import Running, Town

WRITERS = 6
BEFORE_THE_KILL = 80


@dataclass(frozen=True, slots=True)
class Acknowledged:
    key: str
    value: str
    seq: int


def writes_until_killed(node: Running, turn: int) -> tuple[list[Acknowledged], int]:
    """Puts from several sides at once; the node is killed in their midst. What it acknowledged, and what it did not."""
    acknowledged: queue.Queue[Acknowledged] = queue.Queue()
    unanswered: queue.Queue[str] = queue.Queue()

    def write(writer: int) -> None:
        client = Client(node.data_dir)
        for number in range(100_000):
            # Each writer also writes one entry again and again: its seq has to go on.
            key = f"me/{turn}-{writer}-{number}" if number % 2 else f"me/counter-{writer}"
            value = f"{turn}.{number}"
            try:
                stored = client.put(key, value.encode())
            except KadnetError:
                unanswered.put(key)
                return
            acknowledged.put(Acknowledged(key, value, stored.seq))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    done = [acknowledged.get(timeout=60) for _ in range(BEFORE_THE_KILL)]
    node.kill()
    for thread in threads:
        thread.join(60)
    while not acknowledged.empty():
        done.append(acknowledged.get())
    return done, unanswered.qsize()


def test_what_was_acknowledged_outlives_kill_9_and_the_seqs_go_on(town: Town) -> None:
    *others, node = town.overlay(4)
    highest: dict[str, Acknowledged] = {}
    for turn in range(3):
        done, unanswered = writes_until_killed(node, turn)
        assert unanswered == WRITERS, "every writer was stopped in the middle of a put"
        for entry in done:
            if entry.key not in highest or entry.seq > highest[entry.key].seq:
                highest[entry.key] = entry
        counted = [entry for entry in done if "counter" in entry.key]
        assert len({(entry.key, entry.seq) for entry in counted}) == len(counted), "no seq is given out twice"

        # Told the address again: it may have died before it noted its contacts, which it does once a second.
        node = town.start(node.data_dir, bootstrap=[others[0].host_port])
        assert "damaged" not in node.said()
        client = Client(node.data_dir)
        for key, entry in highest.items():
            (value,) = client.get(key).values
            assert value.seq is not None
            assert value.seq >= entry.seq, f"{key} was acknowledged at seq {entry.seq}"
            # A put that was under way may have been written although nobody was told so.
            assert value.data.decode() == entry.value or value.seq > entry.seq

    for key in ("me/counter-0", "me/counter-1"):
        entry = highest[key]
        stored = node.json("put", key, "after all")
        assert stored["seq"] > entry.seq
        assert stored["replicas"] >= 3 * len(others) // 4
        for other in others:
            assert other("get", stored["key"]).out == "after all"
