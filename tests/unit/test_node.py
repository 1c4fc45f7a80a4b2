"""The Python API: what is handed to it wrongly is told so, and the node lives on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from kadnet.errors import InputError, PeerRefused, PeerUnreachable
from kadnet.identity.address import Endpoint, text
from kadnet.kademlia.keyspace import position_bytes
from kadnet.lab import open_world, run_until, virtual_internet, virtual_runtime
from kadnet.node import Node, open_node
from tests.unit.overlay.bench import on_virtual_time

WRONG: list[tuple[Callable[[Any], Awaitable[object]], str]] = [
    (lambda node: node.put("x", "str"), "a value is bytes, not str 'str'"),
    (lambda node: node.put_blob("str"), "a value is bytes, not str 'str'"),
    (lambda node: node.put("x", None), "a value is bytes"),
    (lambda node: node.put("x", b"v", ttl=1.5), "ttl is whole seconds, not 1.5"),
    (lambda node: node.put("x", b"v", ttl=True), "ttl is whole seconds, not True"),
    (lambda node: node.put_blob(b"v", ttl="60"), "ttl is whole seconds, not '60'"),
    (lambda node: node.put("x", b"v", if_seq=-1), "if_seq is a whole number from 0, not -1"),
    (lambda node: node.put("x", b"v", if_seq=1.0), "if_seq is a whole number from 0, not 1.0"),
    (lambda node: node.get(5), "a key is a text or a kadnet.Key, not int 5"),
    (lambda node: node.lookup(b"short"), "a target is a text or 32 bytes, not 5 bytes"),
    (lambda node: node.lookup(5), "a target is a text or 32 bytes, not int 5"),
    (lambda node: node.ping(node.id), "that is this node itself"),
    (lambda node: node.ping(node.identity_text), "that is this node itself"),
    (lambda node: node.find(b"short"), "5 bytes are no node ID"),
    (lambda node: node.ping("abcdefgh"), "'abcdefgh' is the short form"),
    (lambda node: node.ping("bob"), "no contact is called 'bob'"),
]


@on_virtual_time
async def test_what_is_wrong_is_said_and_the_node_lives_on() -> None:
    async with open_world(seed=1) as world:
        node = (await world.grow(2))[0].node
        for call, complaint in WRONG:
            with pytest.raises(InputError) as caught:
                await call(node)
            assert complaint in str(caught.value)
        assert (await node.put("x", memoryview(b"v"))).replicas == 1  # type: ignore[arg-type]  # bytes of any make
        assert [entry.value for entry in await node.get("x")] == [b"v"]


async def opened(**options: Any) -> Node:
    async with virtual_internet(seed=1) as internet:
        runtime = virtual_runtime(internet.host("a", ["10.0.0.1"]), 1, "a")
        async with open_node(runtime=runtime, **options) as node:
            return node


@on_virtual_time
async def test_one_bootstrap_address_may_be_a_plain_text() -> None:
    node = await opened(bootstrap="127.0.0.1:1")
    assert [str(state.address) for state in node.host.overlay.bootstrap_states()] == ["127.0.0.1:1"]


@on_virtual_time
async def test_a_port_alone_is_no_place_to_listen() -> None:
    with pytest.raises(InputError, match="listen is a text HOST:PORT, not int 7420"):
        await opened(listen=7420)


@on_virtual_time
async def test_a_node_whose_only_peer_died_says_that_it_is_alone() -> None:
    async with open_world(seed=1) as world:
        left, other = await world.grow(2)
        status = left.node.status()
        assert (status.peers, status.joined) == (1, True)
        world.kill(other.name)
        await run_until(lambda: left.node.status().peers == 0, 60)
        assert not left.node.status().joined


@on_virtual_time
async def test_a_lookup_of_an_address_asks_who_is_there() -> None:
    async with open_world(seed=1) as world:
        node, other = (each.node for each in await world.grow(2))
        place = text(Endpoint(other.address.host, other.address.port))
        assert (await node.lookup(place)).target == int.from_bytes(position_bytes(other.id), "big")
        with pytest.raises(PeerUnreachable, match=r"nobody answers at 10\.66\.66\.66:7420"):
            await node.lookup("10.66.66.66:7420")
        with pytest.raises(PeerUnreachable, match=r"nobody answers at 10\.66\.66\.66:7420"):
            await node.ping("10.66.66.66:7420")


@on_virtual_time
async def test_what_is_put_for_a_second_is_acknowledged() -> None:
    async with open_world(seed=1) as world:
        node = (await world.grow(2))[0].node
        assert (await node.put("x", b"v", ttl=1)).replicas == 1
        assert (await node.put_blob(b"v", ttl=1)).replicas == 1


@on_virtual_time
async def test_a_contacts_name_is_a_target_of_a_lookup() -> None:
    async with open_world(seed=1) as world:
        await world.grow(3)
        alice, bob = world["n0"].node, world["n2"].node
        await alice.add_contact("bob", bob.id)
        assert (await alice.lookup("bob")).target == int.from_bytes(position_bytes(bob.id), "big")


@on_virtual_time
async def test_a_lookup_over_several_paths_asks_far_more_and_finds_the_same() -> None:
    async with open_world(seed=1) as world:
        node = (await world.grow(24))[3].node
        target = bytes(32)
        single = await node.lookup(target)
        several = await node.lookup(target, paths=4)
        assert several.closest == single.closest
        assert several.queries == several.answers == 23
        assert single.queries < 20


@pytest.mark.parametrize("paths", [0, 9, -1, True, 1.5, "2"])
@on_virtual_time
async def test_a_lookup_takes_one_to_eight_paths(paths: object) -> None:
    async with open_world(seed=1) as world:
        node = (await world.grow(2))[0].node
        for verb in (node.lookup(bytes(32), paths=paths), node.find(world["n1"].node.id, paths=paths)):  # type: ignore[arg-type]  # the wrong ones
            with pytest.raises(InputError, match=r"takes 1 to 8 paths"):
                await verb


async def test_a_program_hears_of_a_failed_handler_in_pythons_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_peer: bytes, _body: bytes) -> bytes:
        raise RuntimeError("boom")

    with trio.fail_after(20):
        async with open_node(listen="127.0.0.1:0") as alice:
            alice.handle("fails", on_request=fails)
            async with open_node(listen="127.0.0.1:0") as bob:
                with pytest.raises(PeerRefused, match="internal"):
                    await bob.request(alice.address, "fails", b"")
                while not caplog.records:
                    await trio.lowlevel.checkpoint()
    assert "a handler of fails failed: RuntimeError: boom" in caplog.text
