"""What every test shares: how hard hypothesis looks.

`HYPOTHESIS_PROFILE=deep` looks longer. A failure prints the blob that replays it; `make test` prints the seed of the
whole run.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.vectors_plugin"]

# Never derandomised: each run looks at new examples, and the seed says which. No deadline: two busy cores are no fault
# of the code under test.
_COMMON = settings(
    deadline=None,
    print_blob=True,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", _COMMON, max_examples=100)
settings.register_profile("deep", _COMMON, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
