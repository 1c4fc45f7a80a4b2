"""How long a run still takes, as a person reads it."""

from __future__ import annotations

import pytest

from benchmarks.plan import Job
from benchmarks.runner import Progress


@pytest.mark.parametrize(
    ("guess", "said"), [(2.0, "about 10 s left"), (34.0, "about 30 s left"), (200.0, "about 3 min left")]
)
def test_what_is_left_is_said_in_seconds_when_it_is_less_than_minutes(
    guess: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(0, "ping", "kadnet", (), {}, guess)
    Progress([job], 1).begin(job)
    assert said in capsys.readouterr().err
