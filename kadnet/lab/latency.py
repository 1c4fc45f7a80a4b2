"""How long a packet is on its way between two hosts: the same for all, by where they are, or as somebody measured it.

A model gives each host a `Place`, a pure function of (seed, name): one host more moves no other. `between` is then
plain arithmetic on two places, as it is asked for every packet of millions.

`Coordinates` puts hosts on a sphere and gives each an access delay of its own (its line, its router). Round trips of
random hosts have the percentiles 47, 112, 213 and 264 ms at 5, 50, 95 and 99 %, within a few per cent for any seed. A
sphere, because it has no middle and no edge: every host sees the same spread of distances, so a world of a few hundred
hosts already looks like one of millions. Ways to the far side are longer than the distance says, as cables are.

Left out: what differs from packet to packet (jitter and reordering are `NetworkOptions`), and the two directions of a
path, which are alike here.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from kadnet.errors import InputError
from kadnet.identity.text import printable


class Place(NamedTuple):
    """Where a host is, as its model understands it: a point of the unit sphere and an access delay, or a row."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    access: float = 0.0
    """Seconds between the host and the rest of the world, one way."""
    row: int = 0


class Latency(Protocol):
    """Seconds between hosts. Jitter is none of its business: the same two places are always as far apart."""

    @property
    def median_round_trip(self) -> float:
        """Seconds there and back between two random hosts: the unit in which lookups are judged."""
        ...

    def place(self, name: str) -> Place:
        """The place of the host of this name, always the same one."""
        ...

    def between(self, a: Place, b: Place) -> float:
        """Seconds one way; the same in both directions."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every host is equally far from every other."""

    seconds: float = 0.05
    """One way. A round trip of 100 ms is a common one between continents."""

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:
            raise InputError(f"a latency of {self.seconds} seconds is not possible: give 0 or more")

    @property
    def median_round_trip(self) -> float:
        return 2 * self.seconds

    def place(self, name: str) -> Place:
        return _HERE

    def between(self, a: Place, b: Place) -> float:
        return self.seconds


_HERE = Place()

# Fitted by a random search to the four percentiles, over many draws of 400 hosts. Seconds, one way.
_HALFWAY_ROUND = 0.0885  # to the far side of the sphere, were the way as long as the distance
_DETOUR = 0.064  # added there; it grows with the 8th power of the distance, so it is nothing for the nearer half
_ACCESS_FLOOR = 0.0028
_ACCESS_MEAN = 0.003  # of what comes on top, exponential
_ACCESS_MOST = 0.015


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Hosts on a sphere with an access delay each; see the module."""

    seed: int = 0

    @property
    def median_round_trip(self) -> float:
        return 0.112

    def place(self, name: str) -> Place:
        u, v, w = _chance(self.seed, name)
        z = 2 * u - 1
        across = math.sqrt(1 - z * z)
        around = 2 * math.pi * v
        access = _ACCESS_FLOOR + min(-_ACCESS_MEAN * math.log(1 - w), _ACCESS_MOST)
        return Place(across * math.cos(around), across * math.sin(around), z, access)

    def between(self, a: Place, b: Place) -> float:
        ax, ay, az, a_access, _ = a
        bx, by, bz, b_access, _ = b
        cosine = ax * bx + ay * by + az * bz
        if not -1.0 < cosine < 1.0:  # rounding
            cosine = 1.0 if cosine > 0 else -1.0
        part = math.acos(cosine) / math.pi
        square = part * part
        fourth = square * square
        return _HALFWAY_ROUND * part + _DETOUR * fourth * fourth + (a_access + b_access)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Round trips that were measured between real hosts. Made by `read`; each host is given a row by chance.

    Two hosts with the same row are neighbours: as far apart as that row's nearest other.
    """

    seed: int
    rows: tuple[array[float], ...] = field(repr=False)
    """Seconds one way, symmetric."""
    median_round_trip: float

    @classmethod
    def read(cls, path: Path | str, seed: int = 0, most: int = 4096) -> Matrix:
        """A text file: one line for each host with its round trips to all hosts in milliseconds, parted by blanks.

        The diagonal is not looked at. "-" or a negative number is a pair that was not measured; it takes the value of
        the other direction, else the median of all. Two directions that differ become their mean. Empty lines and what
        follows a "#" mean nothing. `most` bounds the rows (4,096 take 70 MB). Raises InputError, naming the line.
        """
        try:
            with Path(path).open(encoding="utf-8") as file:
                measured, numbers = _parse(file, str(path), most)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the latency matrix {path} cannot be read: {error}", hint="give a text file of round trips in ms"
            ) from None
        _check_square(measured, numbers, str(path))
        return _symmetric(measured, seed, str(path))

    def place(self, name: str) -> Place:
        return Place(row=int(_chance(self.seed, name)[0] * len(self.rows)))

    def between(self, a: Place, b: Place) -> float:
        return self.rows[a.row][b.row]


def _chance(seed: int, name: str) -> tuple[float, float, float]:
    """Three numbers of [0, 1) that belong to a name."""
    digest = hashlib.blake2b(f"kadnet lab place {seed} {name}".encode(), digest_size=24).digest()
    u, v, w = (int.from_bytes(digest[at : at + 8], "big") >> 11 for at in (0, 8, 16))
    return u * 2.0**-53, v * 2.0**-53, w * 2.0**-53


def _parse(lines: Iterable[str], path: str, most: int) -> tuple[list[array[float]], list[int]]:
    """The rows as they stand, NaN for what was not measured, and the number of the line of each."""
    rows: list[array[float]] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(rows) == most or len(words) > most:
            raise InputError(f"{path} line {number}: a latency matrix has at most {most} rows and columns")
        rows.append(array("f", [_milliseconds(word, path, number) for word in words]))
        numbers.append(number)
    return rows, numbers


def _milliseconds(word: str, path: str, number: int) -> float:
    if word == "-":
        return math.nan
    try:
        value = float(word)
    except ValueError:
        value = math.inf
    if not value <= 1e7:  # NaN as well; no round trip takes three hours
        raise InputError(f"{path} line {number}: '{printable(word, 40)}' is no round trip in milliseconds")
    return value if value >= 0 else math.nan


def _check_square(rows: list[array[float]], numbers: list[int], path: str) -> None:
    if len(rows) < 2:
        raise InputError(f"{path}: a latency matrix has at least two rows, this one has {len(rows)}")
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(rows):
            raise InputError(
                f"{path} line {number}: {len(row)} round trips in a matrix of {len(rows)} rows",
                hint="every line gives the round trips to all hosts, its own included",
            )


def _symmetric(rows: list[array[float]], seed: int, path: str) -> Matrix:
    """The rows made one way, in seconds, alike in both directions, and without gaps."""
    size = len(rows)
    known: array[float] = array("f")
    for a in range(size):
        for b in range(a):
            there, back = rows[a][b], rows[b][a]
            value = there if back != back else back if there != there else (there + back) / 2
            rows[a][b] = rows[b][a] = value / 2000
            if value == value:
                known.append(value / 2000)
    if not known:
        raise InputError(f"{path}: no pair of hosts of this latency matrix was measured")
    middle = statistics.median(known)
    for a, row in enumerate(rows):
        row[a] = math.nan
        nearest = min((value for value in row if value == value), default=middle)
        for b in range(size):
            if row[b] != row[b]:
                row[b] = nearest if a == b else middle
    return Matrix(seed, tuple(rows), 2 * middle)
