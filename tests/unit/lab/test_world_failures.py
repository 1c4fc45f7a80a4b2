"""What leaves a world: the test's own failure first, whatever the nodes do at their end."""

from __future__ import annotations

import pytest
import trio

from kadnet.host import Host
from kadnet.lab import open_world, run


class BadAtTheEnd:
    """An app that raises while it is taken down."""

    name = "bad"

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise RuntimeError("broke at its end")


def notes(error: BaseException) -> str:
    return " ".join(getattr(error, "__notes__", []))


def test_the_failure_of_the_body_is_not_hidden_by_a_node_that_breaks_at_the_end() -> None:
    async def main() -> None:
        async with open_world(seed=3) as world:
            await world.start("x", apps=[BadAtTheEnd()])
            raise AssertionError("the real failure")

    with pytest.raises(AssertionError, match="the real failure") as caught:
        run(main, seed=3)
    assert "in a world of seed 3" in notes(caught.value)
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)


def test_a_node_that_breaks_at_the_end_of_a_good_body_is_a_failure_with_the_seed() -> None:
    async def main() -> None:
        async with open_world(seed=3) as world:
            await world.start("x", apps=[BadAtTheEnd()])

    with pytest.raises(BaseExceptionGroup) as caught:
        run(main, seed=3)
    assert caught.group_contains(RuntimeError, match="broke at its end")
    assert "in a world of seed 3" in notes(caught.value)
