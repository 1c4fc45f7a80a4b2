"""What an app has of a host: messages, keys, events, settings, counters, databases."""

from __future__ import annotations

import pytest
import trio

from kadnet.errors import InputError, KadnetError, PeerUnreachable, ProtocolError
from kadnet.events import Event, LinkUp
from kadnet.host import Host
from kadnet.identity.address import Address
from kadnet.wire.keys import Key
from tests.unit.overlay.builders import Lab, identity, in_lab


async def two(lab: Lab) -> tuple[Host, Host]:
    alice, bob = await lab.overlay(2)
    return alice, bob


async def echo(_peer: bytes, body: bytes) -> bytes:
    return body


# --- messages


@in_lab
async def test_a_request_finds_a_node_by_its_id_and_by_an_address_that_is_tried_first(lab: Lab) -> None:
    alice, bob = await two(lab)
    stranger = await lab.node("stranger", "10.0.9.1")  # in no table
    for host in (bob, stranger):
        host.handle("echo", echo)
    assert await alice.request(bob.id, "echo", b"x") == b"x"
    with pytest.raises(PeerUnreachable):
        await alice.request(stranger.id, "echo", b"x")
    assert await alice.request(stranger.address, "echo", b"x") == b"x"
    await alice.notify(Address(stranger.id, "10.9.9.9", 1), "note", b"x")  # linked: where it is does not matter


@pytest.mark.parametrize("who", [b"", bytes(31), bytes(32), "text", None, Address(None, "10.0.0.1", 7420)])
@in_lab
async def test_who_is_no_node_is_refused(lab: Lab, who: bytes) -> None:
    alice, _ = await two(lab)
    for verb in (alice.request, alice.notify):
        with pytest.raises(InputError):
            await verb(who, "echo", b"x")


@in_lab
async def test_a_node_sends_nothing_to_itself(lab: Lab) -> None:
    alice, _ = await two(lab)
    alice.handle("echo", echo)
    for who in (alice.id, alice.address):
        with pytest.raises(InputError, match="this node itself"):
            await alice.request(who, "echo", b"x")


# --- keys


@in_lab
async def test_a_signature_is_good_for_its_signer_purpose_and_data_alone(lab: Lab) -> None:
    alice, bob = await two(lab)
    signature = alice.sign("guest/1", b"data")
    assert len(signature) == 64
    assert bob.verify(alice.id, "guest/1", b"data", signature)
    assert not bob.verify(bob.id, "guest/1", b"data", signature)
    assert not bob.verify(alice.id, "guest/2", b"data", signature)
    assert not bob.verify(alice.id, "guest/1", b"datb", signature)
    assert not bob.verify(alice.id, "receipt", b"data", signature)
    assert not bob.verify(alice.id, "guest/1", b"data", signature[:63])
    assert not bob.verify(b"no id", "guest/1", b"data", signature)


@in_lab
async def test_a_signature_of_one_network_is_none_in_another(lab: Lab) -> None:
    from kadnet.overlay import OverlaySettings

    alice = await lab.node("alice", "10.0.1.1")
    private = await lab.node("private", "10.0.2.1", settings=OverlaySettings(network_key="11" * 32))
    signature = private.sign("guest", b"data")
    assert private.verify(private.id, "guest", b"data", signature)
    assert not alice.verify(private.id, "guest", b"data", signature)
    assert private._foundation.network_key != alice._foundation.network_key


@in_lab
async def test_what_is_sealed_opens_for_its_recipient_and_purpose_alone(lab: Lab) -> None:
    alice, bob = await two(lab)
    sealed = alice.seal(bob.id, "letter", b"secret")
    assert len(sealed) == 48 + 6
    assert bob.unseal("letter", sealed) == b"secret"
    assert alice.seal(bob.id, "letter", b"secret") != sealed, "each under a key of its own"
    for host, purpose, data in ((alice, "letter", sealed), (bob, "other", sealed), (bob, "letter", sealed[:-1])):
        with pytest.raises(ProtocolError):
            host.unseal(purpose, data)


@pytest.mark.parametrize("to", [b"", bytes(32), bytes(31)])
@in_lab
async def test_nothing_is_sealed_to_what_is_no_id(lab: Lab, to: bytes) -> None:
    """The app's fault, not a peer's: in a handler it must not be answered as if the asker had done it."""
    alice, _ = await two(lab)
    with pytest.raises(InputError):
        alice.seal(to, "letter", b"secret")


@pytest.mark.parametrize("purpose", ["", "Upper", "a" * 33, "with space", "new\n"])
@in_lab
async def test_a_purpose_that_cannot_be_is_refused(lab: Lab, purpose: str) -> None:
    alice, bob = await two(lab)
    with pytest.raises(InputError):
        alice.sign(purpose, b"")
    with pytest.raises(InputError):
        alice.seal(bob.id, purpose, b"")


# --- what happens


@in_lab
async def test_events_come_to_every_reader_and_end_with_its_block(lab: Lab) -> None:
    alice, bob = await two(lab)
    bob.handle("echo", echo)
    seen: list[Event] = []

    async def read(*, task_status: trio.TaskStatus[None]) -> None:
        async with alice.events() as stream:
            task_status.started()
            async for event in stream:
                seen.append(event)  # noqa: PERF401  # they are looked at while more come

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            await nursery.start(read)
        await alice.request(bob.id, "echo", b"x")
        await trio.sleep(1)
        assert [type(event) for event in seen].count(LinkUp) == 2
        nursery.cancel_scope.cancel()
    assert not alice._foundation.events.wants(LinkUp)


@in_lab
async def test_a_reader_that_stopped_waiting_can_go_on(lab: Lab) -> None:
    alice, bob = await two(lab)
    bob.handle("echo", echo)
    async with alice.events() as stream:
        with trio.move_on_after(1):
            async for event in stream:
                assert not isinstance(event, LinkUp)
        await alice.request(bob.id, "echo", b"x")
        with trio.fail_after(5):
            async for event in stream:
                if isinstance(event, LinkUp):
                    break
            else:
                raise AssertionError("the stream has ended")


@in_lab
async def test_one_reader_too_many_is_refused_and_leaves_no_trace(lab: Lab) -> None:
    from contextlib import AsyncExitStack

    alice, _ = await two(lab)
    async with AsyncExitStack() as stack:
        for _ in range(63):  # the links are one
            await stack.enter_async_context(alice.events())
        with pytest.raises(RuntimeError, match="64 readers"):
            await stack.enter_async_context(alice.events())
    assert not alice._foundation.events.wants(LinkUp)


# --- records and numbers


@in_lab
async def test_records_and_nodes_are_reached_through_the_host(lab: Lab) -> None:
    alice, bob = await two(lab)
    key = Key.shared("guestbook")
    assert (await alice.put(key, b"value")).replicas == 1
    assert [entry.value for entry in (await bob.get(key)).entries] == [b"value"]
    found = await alice.find(bob.id)
    assert found is not None
    assert found.id == bob.id
    assert await alice.find(identity("nobody").public) is None


@in_lab
async def test_counters_are_those_of_their_name(lab: Lab) -> None:
    alice, _ = await two(lab)
    alice.counters("guests").add("signed")
    alice.counters("guests").add("signed")
    assert alice.app_counters["guests"] == {"signed": 2}


@pytest.mark.parametrize("error", [KadnetError("x"), ProtocolError("x")])
@in_lab
async def test_a_handler_that_refuses_does_not_end_the_node(lab: Lab, error: Exception) -> None:
    alice, bob = await two(lab)

    async def refuse(_peer: bytes, _body: bytes) -> bytes:
        raise error

    bob.handle("refuse", refuse)
    for _ in range(3):
        with pytest.raises(KadnetError):
            await alice.request(bob.id, "refuse", b"")
