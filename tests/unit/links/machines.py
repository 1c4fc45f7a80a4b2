"""One machine of a pair at a time, driven by numbers; what it does, in words.

Words, because controls are tuples: a Ping equals a Pong with its number.
"""

from __future__ import annotations

import random

from kadnet.links.states import (
    Action,
    Dial,
    Down,
    Drop,
    Fail,
    FailOpen,
    Finish,
    Give,
    Peering,
    StateSettings,
    Tell,
    Up,
)

SMALL, LARGE = b"a" * 32, b"b" * 32
START = b"start 1"
PLAIN = StateSettings(jitter=0.0)


def larger(settings: StateSettings = PLAIN) -> Peering:
    return Peering(LARGE, SMALL, settings, random.Random(1))


def smaller(settings: StateSettings = PLAIN) -> Peering:
    return Peering(SMALL, LARGE, settings, random.Random(1))


def words(action: Action) -> str:
    match action:
        case Dial():
            return "dial"
        case Tell(link=link, control=control):
            return " ".join([f"{link}:", type(control).__name__.lower(), *map(str, control)])
        case Give(link=link, items=items):
            return f"{link}: {' '.join(items)}"
        case Finish(link=link):
            return f"{link} finish"
        case Drop(link=link, reason=reason):
            return f"{link} drop {reason}"
        case Fail(items=items, why=why):
            return f"fail {' '.join(items)}: {why}"
        case FailOpen(why=why, before=before):
            return f"fail open before {before:g}: {why}"
        case Up(link=link):
            return f"up {link}"
        case Down(reason=reason):
            return f"down {reason}"


def does(machine: Peering, now: float) -> list[str]:
    return [words(action) for action in machine.advance(now)[0]]


def linked(machine: Peering, link: int = 1, now: float = 0.0) -> Peering:
    """With one link, called by the peer."""
    machine.up(link, False, START, now)
    assert does(machine, now) == [f"up {link}"]
    return machine


def with_two(machine: Peering) -> Peering:
    """Link 1 was called by the peer, link 2 by us."""
    linked(machine)
    machine.up(2, True, START, 0.0)
    does(machine, 0.0)
    return machine
