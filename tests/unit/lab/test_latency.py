"""How far hosts are from each other."""

from __future__ import annotations

import statistics
from itertools import combinations
from pathlib import Path

import pytest

from kadnet.errors import InputError
from kadnet.lab.latency import Constant, Coordinates, Latency, Matrix


def round_trips(latency: Latency, names: list[str]) -> list[float]:
    """Of every pair, in milliseconds, the shortest first."""
    places = [latency.place(name) for name in names]
    return sorted(2000 * latency.between(a, b) for a, b in combinations(places, 2))


@pytest.mark.parametrize("seed", range(8))
def test_round_trips_of_400_hosts_have_the_percentiles_of_the_real_internet(seed: int) -> None:
    trips = round_trips(Coordinates(seed), [f"n{number}" for number in range(400)])
    for percent, wanted in ((5, 47), (50, 112), (95, 213), (99, 264)):
        assert trips[len(trips) * percent // 100] == pytest.approx(wanted, rel=0.05), f"p{percent}"


def test_the_median_it_promises_is_the_median() -> None:
    names = [f"host {number}" for number in range(200)]
    for latency in (Coordinates(3), Constant(0.03)):
        measured = statistics.median(round_trips(latency, names)) / 1000
        assert latency.median_round_trip == pytest.approx(measured, rel=0.05)


def test_a_name_is_always_at_the_same_place_for_one_seed() -> None:
    assert Coordinates(1).place("a") == Coordinates(1).place("a")
    assert len({Coordinates(1).place("a"), Coordinates(1).place("b"), Coordinates(2).place("a")}) == 3


def test_both_directions_take_as_long_and_nobody_is_without_access_delay() -> None:
    latency = Coordinates(5)
    places = [latency.place(f"n{number}") for number in range(50)]
    for a, b in combinations(places, 2):
        assert latency.between(a, b) == latency.between(b, a)
    assert all(0.0056 <= latency.between(each, each) < 0.04 for each in places)  # both access delays


def test_a_constant_below_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="-1"):
        Constant(-1)
    with pytest.raises(InputError):
        Constant(float("nan"))


MEASURED = """# three hosts
0   10  80
14  0   -   # the third was not reached
80  60  0
"""


def matrix(folder: Path, text: str, seed: int = 0, most: int = 4096) -> Matrix:
    path = folder / "rtt.txt"
    path.write_text(text)
    return Matrix.read(path, seed, most)


def test_a_measured_matrix_gives_its_own_round_trips(tmp_path: Path) -> None:
    latency = matrix(tmp_path, MEASURED)
    places = {latency.place(f"n{number}").row: latency.place(f"n{number}") for number in range(60)}
    assert sorted(places) == [0, 1, 2]
    trips = [[round(2000 * latency.between(places[a], places[b]), 3) for b in range(3)] for a in range(3)]
    assert trips == [[12, 12, 80], [12, 12, 60], [80, 60, 60]]
    assert latency.median_round_trip == pytest.approx(0.060)
    assert [matrix(tmp_path, MEASURED, 1).place(f"n{n}").row for n in range(20)] != [
        latency.place(f"n{n}").row for n in range(20)
    ]


def test_pairs_nobody_measured_are_as_far_apart_as_the_median(tmp_path: Path) -> None:
    latency = matrix(tmp_path, "0 10 -1\n10 0 30\n- 30 0\n")
    assert latency.rows[0][2] == latency.rows[2][0] == pytest.approx(0.010)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "at least two rows, this one has 0"),
        ("0\n", "at least two rows"),
        ("0 1\n1 0 5\n", "line 2: 3 round trips in a matrix of 2 rows"),
        ("\n0 1\n\n1\n", "line 4: 1 round trips in a matrix of 2 rows"),
        ("0 1\nfast 0\n", "line 2: 'fast' is no round trip"),
        ("0 nan\n1 0\n", "line 1: 'nan' is no round trip"),
        ("0 inf\n1 0\n", "line 1: 'inf' is no round trip"),
        ("0 -\n- 0\n", "no pair of hosts"),
        ("0 1 1 1\n" * 4, "line 1: a latency matrix has at most 3"),
    ],
)
def test_a_bad_matrix_is_refused_by_its_line(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong) as caught:
        matrix(tmp_path, text, most=3)
    assert "\n" not in str(caught.value)


def test_a_matrix_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Matrix.read(tmp_path / "nothing.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        Matrix.read(tmp_path / "bytes")
