"""Handlers that raise, hang or dawdle: what their askers are told, and who else notices."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import pytest
import trio

from kadnet.errors import InputError, KadnetError, PeerRefused, PeerUnreachable, ProtocolError
from kadnet.events import HandlerFailed, LinkDown
from kadnet.links import LinkSettings
from tests.unit.links.bench import Bench, on_bench, soon

QUIET = LinkSettings()
"""A handler's fault does not end the test."""
RTT = 0.1


@pytest.mark.parametrize(
    ("error", "code", "faults"),
    [
        (ProtocolError("my-reason"), "my-reason", 0),
        (InputError("what was passed in"), "input", 0),
        (PeerUnreachable("a third one"), "peer-unreachable", 0),
        (KadnetError("something"), "error", 0),
        (ValueError("a fault"), "internal", 1),
        (ExceptionGroup("several", [ValueError("a fault")]), "internal", 1),
        (ProtocolError("No code, this!"), "internal", 1),
        (ProtocolError(""), "internal", 1),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else None,
)
@on_bench
async def test_what_a_handler_raises_is_answered_by_its_code(
    bench: Bench, error: Exception, code: str, faults: int
) -> None:
    alice, bob = await bench.two(settings=QUIET)
    bob.echo()

    async def raising(_peer: bytes, _body: bytes) -> bytes:
        raise error

    bob.links.handle("raising", raising)
    with pytest.raises(PeerRefused) as caught:
        await alice.links.request(bob.id, "raising", b"")
    assert caught.value.reason == code
    assert bob.links.services.counters.failed == faults
    assert [event.protocol for event in bob.events(HandlerFailed)] == ["raising"] * faults
    assert bob.links.services.refused == {code: 1}
    assert await alice.links.request(bob.id, "echo", b"still there") == b"still there"


@on_bench
async def test_a_notice_whose_handler_raises_harms_nobody(bench: Bench) -> None:
    alice, bob = await bench.two(settings=QUIET)
    bob.echo()

    async def raising(_peer: bytes, body: bytes) -> None:
        raise ProtocolError("what") if body else ValueError("a fault")

    bob.links.handle("raising", None, raising)
    await alice.links.notify(bob.id, "raising", b"")
    await alice.links.notify(bob.id, "raising", b"x")
    await soon(lambda: bob.events(HandlerFailed))
    assert await alice.links.request(bob.id, "echo", b"x") == b"x"
    (event,) = bob.events(HandlerFailed)
    assert (event.error, "in raising" in event.trace) == ("ValueError: a fault", True)


@on_bench
async def test_an_answer_that_is_no_bytes_is_a_fault_of_the_handler(bench: Bench) -> None:
    alice, bob = await bench.two(settings=QUIET)

    async def text(_peer: bytes, _body: bytes) -> bytes:
        return "text"  # type: ignore[return-value]  # an app without a type checker

    bob.links.handle("text", text)
    with pytest.raises(PeerRefused) as caught:
        await alice.links.request(bob.id, "text", b"")
    assert caught.value.reason == "internal"
    assert "on_request must return bytes, not str" in bob.events(HandlerFailed)[0].error


def test_under_test_a_fault_of_a_handler_ends_the_node() -> None:
    @on_bench
    async def body(bench: Bench) -> None:
        alice, bob = await bench.two()

        async def raising(_peer: bytes, _body: bytes) -> bytes:
            raise ValueError("a fault")

        bob.links.handle("raising", raising)
        await alice.links.request(bob.id, "raising", b"")

    with pytest.raises(BaseExceptionGroup) as caught:
        body()
    assert caught.group_contains(ValueError, match="a fault")


# --- handlers that hang


@on_bench
async def test_handlers_that_hang_hold_up_nobody_but_their_own_protocol(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()

    async def hang(_peer: bytes, _body: bytes) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    bob.links.handle("hang", hang, concurrent=4)
    refused: list[str] = []

    async def ask() -> None:
        try:
            await alice.links.request(bob.id, "hang", bytes(100))
        except PeerRefused as error:
            refused.append(error.reason)

    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(ask)
        await trio.sleep(10)
        assert refused == ["busy"] * (1000 - 256 - 4), "four at work, 256 waiting, and nobody else waits for ever"
        start = trio.current_time()
        assert await alice.links.request(bob.id, "echo", b"x") == b"x"
        assert trio.current_time() - start == pytest.approx(RTT)
        await trio.sleep(120)
        assert not alice.events(LinkDown), "the heartbeat goes on"
        assert alice.standing(bob) == 1
        nursery.cancel_scope.cancel()


@on_bench
async def test_a_slow_handler_slows_its_askers_down_and_loses_no_link(bench: Bench) -> None:
    """Each job is within the patience of the link, all together take minutes."""
    alice, bob = await bench.two()

    async def slow(_peer: bytes, body: bytes) -> bytes:
        await trio.sleep(1)
        return body

    bob.links.handle("slow", slow, concurrent=1)
    answered: list[bytes] = []

    async def ask(number: int) -> None:
        answered.append(await alice.links.request(bob.id, "slow", number.to_bytes(2, "big")))

    async with trio.open_nursery() as nursery:
        for number in range(400):
            nursery.start_soon(ask, number)
    assert len(answered) == 400
    assert not alice.events(LinkDown)
    assert not bob.events(LinkDown)
