"""What is to be simulated: the world and the work. Checked before anything begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from kadnet.errors import InputError
from kadnet.lab.latency import Coordinates, Latency

WEIBULL_SHAPE: Final = 0.5
"""Sessions of a real network: most are short and some very long (Steiner, En-Najjary, Biersack 2009, measured on Kad:
shapes of 0.5 to 0.6)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One world, the same for every strategy: `nodes` join, values are stored, and chance picks who looks them up.

    `loss`: the part of datagrams lost. `stale`: the part of nodes that dies unnoticed at the moment before the lookups,
    so that about so many of the contacts in each table are dead. `churn`: the median session in seconds (None: nobody
    leaves); who leaves is replaced by a newcomer, and the lookups come after `settle` seconds of it. Who waits for one
    of the lookups leaves when it has ended, not before. `pace`: seconds from one join to the next. `lookup_pace`: from
    one lookup to the next, so short that upkeep does not find the dead meanwhile; the lookups themselves do, so with
    more of them than nodes the last ones meet fewer dead than the first. `cached`: how many contacts beside the
    table a node remembers (None: what ships). `warm`: so many of the nodes, the last ones to come, remember as many as
    ship, do all the lookups, and while the overlay is left to itself each of them looks up a place of chance every
    `traffic` seconds (0: anybody does the lookups, and nobody any before). `puts`: so many of new values are timed
    after the lookups, at their pace; then some nodes judge how many there are.
    """

    nodes: int = 1000
    lookups: int = 500
    loss: float = 0.0
    stale: float = 0.0
    churn: float | None = None
    sessions: Literal["exponential", "weibull"] = "exponential"
    seed: int = 1
    latency: Latency | None = None
    pace: float = 0.1
    settle: float | None = None
    lookup_pace: float = 0.05
    cached: int | None = None
    warm: int = 0
    traffic: float = 60.0
    puts: int = 0

    def __post_init__(self) -> None:
        if self.nodes < 2:
            raise InputError(f"a network of {self.nodes} nodes has nobody to look up", hint="simulate at least 2 nodes")
        if self.lookups < 1:
            raise InputError(f"{self.lookups} lookups show nothing", hint="simulate at least 1 lookup")
        if not 0.0 <= self.loss <= 1.0:
            raise InputError(f"a loss of {self.loss:.0%} of the datagrams cannot be", hint="choose 0 % to 100 %")
        if not 0.0 <= self.stale <= 1.0:
            raise InputError(f"{self.stale:.0%} dead nodes cannot be", hint="choose 0 % to 100 %")
        if self.nodes - self.dying < 2:
            left = "nobody is left" if self.dying == self.nodes else "1 is left, and a lookup needs 2"
            raise InputError(f"with {self.dying} of {self.nodes} nodes dead {left}", hint="choose fewer stale nodes")
        if self.churn is not None and not 1.0 <= self.churn < math.inf:
            raise InputError(f"a median session of {self.churn:g} s cannot be", hint="choose at least a second")
        if self.sessions not in ("exponential", "weibull"):
            raise InputError(f"sessions are exponential or weibull, not {self.sessions}")
        if self.puts < 0:
            raise InputError(f"{self.puts} puts cannot be", hint="choose 0 or more")
        if not 0 <= self.warm <= self.nodes:
            raise InputError(f"{self.warm} of {self.nodes} nodes cannot be warm", hint=f"choose 0 to {self.nodes}")
        if self.warm and self.churn is not None:
            raise InputError("warm nodes stay, and under churn nobody does", hint="leave out one of the two")
        if self.pace <= 0 or self.lookup_pace <= 0 or self.traffic <= 0:
            raise InputError("joins and lookups need some time between them", hint="choose a pace above 0 s")

    @property
    def dying(self) -> int:
        """How many die unnoticed before the lookups."""
        return round(self.nodes * self.stale)

    @property
    def settling(self) -> float:
        """Seconds between the last join and the first lookup: long enough for tables, or for an hour of churn."""
        if self.settle is not None:
            return self.settle
        return 120.0 if self.churn is None else 3600.0

    def network(self) -> Latency:
        """How far apart the nodes are."""
        return self.latency if self.latency is not None else Coordinates(self.seed)

    def session(self, rng: Random) -> float:
        """Seconds that a newcomer stays."""
        if self.churn is None:
            return math.inf
        halvings = -math.log2(1.0 - rng.random())
        return self.churn * (math.pow(halvings, 1 / WEIBULL_SHAPE) if self.sessions == "weibull" else halvings)

    def rest(self, rng: Random) -> float:
        """Seconds that a node still stays which is met at a moment chosen by chance.

        Not a whole session: long sessions are likelier to be met, and a part of them is over (the equilibrium of a
        renewal process; Cox 1962, section 5). Memoryless sessions make no difference.
        """
        if self.churn is None or self.sessions == "exponential":
            return self.session(rng)
        scale = self.churn / math.pow(math.log(2), 1 / WEIBULL_SHAPE)
        met = scale * math.pow(rng.gammavariate(1 + 1 / WEIBULL_SHAPE, 1.0), 1 / WEIBULL_SHAPE)
        return met * rng.random()
