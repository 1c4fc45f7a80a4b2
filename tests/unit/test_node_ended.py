"""A node that has ended, still in somebody's hands: every verb says so, and none waits for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from kadnet.errors import KadnetError, NotConnected
from kadnet.lab import open_world, run
from kadnet.node import Node

Verb = Callable[[Node, Node], Awaitable[object]]

ASK: dict[str, Verb] = {
    "joined": lambda node, _: node.joined(),
    "put": lambda node, _: node.put("color", b"blue"),
    "put_blob": lambda node, _: node.put_blob(b"blue"),
    "get": lambda node, _: node.get("color"),
    "ping": lambda node, other: node.ping(other.id),
    "lookup": lambda node, _: node.lookup(bytes(32)),
}
SEND: dict[str, Verb] = {
    "request": lambda node, other: node.request(other.id, "echo", b""),
    "notify": lambda node, other: node.notify(other.id, "echo", b""),
    "send": lambda node, other: node.send(other.id, "hello"),
}


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("verb", [*ASK, *SEND])
def test_a_verb_of_a_node_that_has_ended_says_so(verb: str, how: str) -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            await world.grow(4)
            ended, other = world["n3"].node, world["n1"].node
            if how == "kill":
                world.kill("n3")
                await trio.sleep(1)
            else:
                await world.stop("n3")
            error = NotConnected if verb in ASK else KadnetError
            with trio.fail_after(60), pytest.raises(error, match=r"ended|closed|no more writes"):
                await {**ASK, **SEND}[verb](ended, other)

    run(main, seed=1)


@pytest.mark.parametrize("verb", ["get", "put", "lookup", "ping"])
def test_what_was_under_way_when_the_node_ended_comes_back(verb: str) -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            await world.grow(4)
            node, other = world["n3"].node, world["n1"].node
            world.internet.filters.append(lambda _packet: False)
            async with trio.open_nursery() as nursery:

                async def asker() -> None:
                    with trio.fail_after(60), suppress(KadnetError):  # a put may have come as far as our own disk
                        await ASK[verb](node, other)

                nursery.start_soon(asker)
                await trio.sleep(0.15)
                await world.stop("n3")

    run(main, seed=1)


def test_who_waits_for_the_first_peer_of_a_lonely_node_is_told_when_it_ends() -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            alone = await world.start("alone")
            async with trio.open_nursery() as nursery:

                async def patient() -> None:
                    with trio.fail_after(60), pytest.raises(NotConnected, match="has ended"):
                        await alone.node.joined()

                nursery.start_soon(patient)
                await trio.sleep(1)
                await world.stop("alone")

    run(main, seed=1)
