"""Two nodes that call each other at the same moment: a relay between them holds each call until both have called."""

from __future__ import annotations

from contextlib import ExitStack

from tests.system.processes import Running, Town, until
from tests.system.relay import Relay, relay
from tests.system.talking import at_once, links_of, received

ROUNDS = 3


def behind(between: Relay, town: Town, name: str) -> tuple[Running, Running]:
    """Two nodes that know each other by the ports of a relay alone."""
    first = town.start(town.folder(f"{name}1"))
    between.stands_for(0, first.port)
    second = town.start(town.folder(f"{name}2"), bootstrap=[between.faces[0].host_port])
    until(lambda: first.status()["joined"] and second.status()["joined"])
    return first, second


def proven(node: Running) -> int:
    """How many links the node has had, once it is down to one."""
    status = until(lambda: status if (status := node.status())["links"] == 1 else None)
    assert status is not None
    count: int = status["counters"]["links"]["proven"]
    return count


def test_nodes_that_call_each_other_at_the_same_moment_end_with_one_link(town: Town) -> None:
    with ExitStack() as stack:
        relays = [stack.enter_context(relay()) for _ in range(2)]
        pairs = [behind(between, town, f"pair{number}-") for number, between in enumerate(relays)]
        both_ways = [(sender, to) for pair in pairs for sender, to in (pair, pair[::-1])]
        before = [0] * len(both_ways)
        for turn in range(ROUNDS):
            passed = [len(between.connections) for between in relays]
            for between in relays:
                between.meet()
                between.cut()  # the links of the last round
            words = [(sender, ("send", to.id, f"{turn}", "--wait", "60")) for sender, to in both_ways]
            for done in at_once(*words):
                assert (done.code, done.out) == (0, "delivered\n")
            for between, known in zip(relays, passed, strict=True):
                assert {call.caller for call in between.connections[known:]} == {0, 1}
            after = [proven(node) for node, _ in both_ways]
            assert all(now >= was + 2 for was, now in zip(before, after, strict=True)), "both calls came through"
            before = after
            for between in relays:
                until(lambda between=between: between.standing() == 1)  # type: ignore[misc]  # bound, not late
        for node, other in both_ways:
            assert links_of(node) == {other.id: 1}
            assert [message["text"] for message in received(node)] == [str(turn) for turn in range(ROUNDS)]
