"""Where the microseconds of a get go: 128 nodes in one process, gets of blobs in flight, by stage.

    python -m benchmarks.figures.stages NODES VALUES

Two rounds: one without a profiler, which says what a get costs, and one under cProfile, which says what part each stage
has of it. A profiler makes calls dear and so blows up stages of many small ones; the parts are right to some per cent.
What has no file, as built-ins, counts as the stage that called it, unless it does a stage's work itself (sealing,
sockets).
"""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Mapping
from typing import Any, Final

import trio

from benchmarks.figures.gets import Blobs, round_of
from benchmarks.peers.driver import say
from benchmarks.peers.peer_kadnet import grown

_WORK: Final = (
    ("waiting for sockets", ("epoll", "kqueue", "select.")),
    ("sending and receiving", ("sendto", "recvfrom", "recvmsg", "sendmsg", "_socket.socket")),
    ("sealing and opening", ("crypto_", "nacl", "_sodium", "blake2", "hashlib")),
)
"""Built-ins that are a stage's work, by parts of their names."""
_FILES: Final = (
    ("sealing and opening", ("kadnet/wire/packets", "kadnet/wire/sealing", "kadnet/wire/channel", "/nacl/")),
    ("encoding and decoding", ("kadnet/wire/", "/msgpack/")),
    ("requests, answers and their timers", ("kadnet/overlay/rpc", "kadnet/overlay/calls", "kadnet/overlay/peers",
                                            "kadnet/overlay/tokens", "kadnet/bounded", "kadnet/kademlia/rtt",
                                            "kadnet/kademlia/silence")),
    ("serving: the records held and the closest known", ("kadnet/overlay/responder", "kadnet/overlay/store",
                                                         "kadnet/overlay/shelf", "kadnet/overlay/archive",
                                                         "kadnet/storage")),
    ("the walk: whom to ask next", ("kadnet/kademlia/lookup", "kadnet/kademlia/disjoint", "kadnet/overlay/walk",
                                    "kadnet/overlay/seeking", "kadnet/overlay/nearest")),
    ("the tables: who is near, who answered", ("kadnet/kademlia/", "kadnet/overlay/neighbours")),
    ("sending and receiving", ("kadnet/transport", "kadnet/pump")),
    ("the event loop", ("/trio/", "/outcome/", "/sniffio/", " trio._core", " outcome._impl")),
    ("the verbs and the rest of the node", ("kadnet/",)),
)  # fmt: skip
"""Python code by parts of its path; the first that fits."""
_NOWHERE: Final = ("~", "<string>", "/contextlib.py")
"""Of no stage: built-ins, what dataclasses and named tuples write for themselves, and what wraps others."""
_REST: Final = "the measuring itself and the rest"


def by_stage(stats: Mapping[Any, Any]) -> dict[str, float]:
    """Seconds by stage, of the raw statistics of a profile: (file, line, function) → its times and its callers."""
    spent: dict[str, float] = {}
    for (file, _line, name), (_calls, _all, own, _whole, callers) in stats.items():
        if "gc.collect" in name:
            continue  # before the round, for all sides alike
        if not file.endswith(_NOWHERE) or not callers:
            stage = _built_in(name) or _of_file(file)
            spent[stage] = spent.get(stage, 0.0) + own
            continue
        for (caller, _at, _of), (_c, _a, part, _w) in callers.items():
            stage = _built_in(name) or _of_file(caller)
            spent[stage] = spent.get(stage, 0.0) + part
    return spent


def _built_in(name: str) -> str | None:
    if not name.startswith("<"):
        return None
    return next((stage for stage, parts in _WORK if any(part in name for part in parts)), None)


def _of_file(file: str) -> str:
    path = file.replace("\\", "/")
    return next((stage for stage, parts in _FILES if any(part in path for part in parts)), _REST)


async def measure(nodes: int, values: int) -> dict[str, float]:
    """Microseconds of a get by stage."""
    async with grown(nodes) as overlay:
        work = await Blobs.put(overlay, values)
        await round_of(work)  # warm
        cost = 1000 * (await round_of(work))["cpu_ms_per_get"]
        profile = cProfile.Profile()
        profile.enable()
        try:
            await round_of(work)
        finally:
            profile.disable()
    stats: Any = pstats.Stats(profile)  # its table is no part of its types
    spent = by_stage(stats.stats)
    whole = sum(spent.values())
    return {stage: round(cost * each / whole, 2) for stage, each in spent.items()}


if __name__ == "__main__":
    spent = trio.run(measure, int(sys.argv[1]), int(sys.argv[2]))
    say({"row": "stages", "side": "kadnet", "repeat": 0, "figures": spent})
