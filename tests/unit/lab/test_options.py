"""What the network may be like."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kadnet.errors import InputError
from kadnet.lab import NetworkOptions


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: NetworkOptions(loss=1.5), "loss is 1.5: give a part"),
        (lambda: NetworkOptions(loss=float("nan")), "loss is nan"),
        (lambda: NetworkOptions(duplication=-0.1), "duplication is -0.1"),
        (lambda: NetworkOptions(reordering=2), "reordering is 2"),
        (lambda: NetworkOptions(reordering=0.1, reorder_by=0), "give reorder_by as well"),
        (lambda: NetworkOptions(jitter=-1), "jitter is -1: give seconds"),
        (lambda: NetworkOptions(lan_latency=float("inf")), "lan_latency is inf"),
        (lambda: NetworkOptions(inbox=0), "inbox is 0: give 1 or more"),
        (lambda: NetworkOptions(inbox=float("nan")), "inbox is nan: give a whole number"),  # type: ignore[arg-type]  # as it says
        (lambda: NetworkOptions(connect_retries=0.5), "connect_retries is 0.5"),  # type: ignore[arg-type]  # as it says
        (lambda: NetworkOptions(loss="x"), "loss is 'x': give a number"),  # type: ignore[arg-type]  # as it says
        (lambda: NetworkOptions(latency="x"), "latency is 'x': give a model"),  # type: ignore[arg-type]  # as it says
        (lambda: NetworkOptions(latency=0.05), "such as Constant"),  # type: ignore[arg-type]  # as it says
        (lambda: NetworkOptions(bandwidth=("x", 1.0)), "bandwidth is"),  # type: ignore[arg-type]  # as it says
        (lambda: NetworkOptions(mtu=40), "no link carries less than 68"),
        (lambda: NetworkOptions(connect_retries=-1), "connect_retries"),
        (lambda: NetworkOptions(resend=0), "resend"),
        (lambda: NetworkOptions(bandwidth=(0, None)), "more than 0 bytes per second"),
        (lambda: NetworkOptions(bandwidth=(None, float("inf"))), "more than 0 bytes per second"),
        (lambda: NetworkOptions(bandwidth=1000), "give \\(up, down\\)"),  # type: ignore[arg-type]  # that is the test
        (lambda: NetworkOptions(bandwidth=(1e6, 1e6), line_queue=100), "line_queue is 100"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make: Callable[[], NetworkOptions], wrong: str) -> None:
    with pytest.raises(InputError, match=wrong) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_ends_of_what_can_be_are_allowed() -> None:
    NetworkOptions(loss=1.0, duplication=1.0, reordering=1.0, jitter=0.0, bandwidth=(None, 1500.0), line_queue=1500)
