"""Queues and workers of the protocols: the order of starts, what waits, who is refused."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable

import pytest
import trio

from kadnet.errors import ProtocolError
from kadnet.lab import run
from kadnet.links.services import Answer, Job, Service, Services, ServiceSettings

PEER = bytes(32)


class Desk:
    """One service with what it was asked and has answered."""

    def __init__(self, services: Services, service: Service, faults: list[str]) -> None:
        self.services = services
        self.service = service
        self.faults = faults
        self.answers: list[Answer] = []

    async def ask(self, body: bytes) -> bool:
        return await self.services.offer(self.service, Job(PEER, body, self.answers.append))

    async def tell(self, body: bytes) -> bool:
        return await self.services.offer(self.service, Job(PEER, body, None))


Handler = Callable[[bytes, bytes], Awaitable[bytes]]


def at_desk(
    handler: Handler,
    body: Callable[[Desk], Awaitable[None]],
    *,
    concurrent: int = 2,
    settings: ServiceSettings | None = None,
) -> None:
    async def on_notice(peer: bytes, data: bytes) -> None:
        await handler(peer, data)

    async def main() -> None:
        faults: list[str] = []
        services = Services(
            settings or ServiceSettings(waiting=4),
            failed=lambda protocol, error, _trace: faults.append(f"{protocol}: {error}"),
            raise_errors=False,
        )
        service = Service("desk", handler, on_notice, concurrent=concurrent, max_body=100)
        services.add(service)
        async with trio.open_nursery() as nursery:
            services.work_in(nursery)
            await body(Desk(services, service, faults))
            nursery.cancel_scope.cancel()

    run(main)


async def slow(_peer: bytes, body: bytes) -> bytes:
    await trio.sleep(1)
    return body


async def hang(_peer: bytes, _body: bytes) -> bytes:
    await trio.sleep_forever()
    raise AssertionError


def test_jobs_start_in_the_order_they_came_and_no_more_at_once_than_allowed() -> None:
    started: list[bytes] = []
    at_work = most = 0

    async def handler(_peer: bytes, body: bytes) -> bytes:
        nonlocal at_work, most
        started.append(body)
        at_work += 1
        most = max(most, at_work)
        await trio.sleep(1 / (1 + body[0] % 3))
        at_work -= 1
        return body

    async def body(desk: Desk) -> None:
        for number in range(50):
            await desk.ask(bytes([number]))
        await trio.sleep(60)
        assert started == [bytes([number]) for number in range(50)]
        assert most == 3
        assert len(desk.answers) == 50

    at_desk(handler, body, concurrent=3, settings=ServiceSettings(waiting=100))


def test_a_handler_that_never_waits_lets_the_loop_breathe() -> None:
    async def handler(_peer: bytes, body: bytes) -> bytes:
        return body

    async def body(desk: Desk) -> None:
        order: list[str] = []

        async def other() -> None:
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            order.append(f"others after {len(desk.answers)}")

        async with trio.open_nursery() as nursery:
            for number in range(200):
                await desk.ask(bytes([number]))
            nursery.start_soon(other)
        assert order, "somebody else had a turn"
        await trio.sleep(1)
        assert len(desk.answers) == 200
        assert int(order[0].split()[-1]) < 200

    at_desk(handler, body, concurrent=8, settings=ServiceSettings(waiting=500, turn=8))


def test_a_full_queue_makes_its_bringer_wait_and_says_that_it_has() -> None:
    async def body(desk: Desk) -> None:
        waited = [await desk.ask(b"x") for _ in range(6)]
        # The first four fill the queue before a worker had its turn, so the fifth waits for it and no time passes.
        assert waited[:4] == [False] * 4
        start = trio.current_time()
        assert await desk.ask(b"x")
        assert trio.current_time() - start == pytest.approx(1)
        await trio.sleep(10)
        assert [answer.code for answer in desk.answers] == [""] * 7

    at_desk(slow, body)


def test_after_its_patience_requests_are_refused_at_once_until_a_handler_ends() -> None:
    release = trio.Event()

    async def handler(_peer: bytes, body: bytes) -> bytes:
        await release.wait()
        return body

    async def body(desk: Desk) -> None:
        for _ in range(6):
            await desk.ask(b"x")
        start = trio.current_time()
        await desk.ask(b"late")
        assert trio.current_time() - start == pytest.approx(5)
        for _ in range(100):
            await desk.ask(b"late")
            await desk.tell(b"late")
        assert trio.current_time() - start == pytest.approx(5), "nobody waits behind one who waited in vain"
        assert [answer.code for answer in desk.answers] == ["busy"] * 101
        assert desk.services.refused == {"busy": 101}
        assert desk.services.counters.dropped == 100
        release.set()
        await trio.sleep(1)
        assert not await desk.ask(b"welcome")
        await trio.sleep(1)
        assert desk.answers[-1].body == b"welcome"

    at_desk(handler, body)


def test_a_worker_that_hangs_leaves_the_rest_of_the_queue_to_the_others() -> None:
    async def handler(peer: bytes, body: bytes) -> bytes:
        return await hang(peer, body) if body == b"hang" else body

    async def body(desk: Desk) -> None:
        await desk.ask(b"hang")
        for _ in range(3):
            await desk.ask(b"x")
        await trio.sleep(1)
        assert len(desk.answers) == 3
        for _ in range(20):
            await desk.ask(b"x")
            await trio.sleep(0.01)
        assert len(desk.answers) == 23
        assert desk.service.workers == 2

    at_desk(handler, body)


def test_what_is_not_offered_is_refused_and_counted() -> None:
    async def body(desk: Desk) -> None:
        deaf = Service("deaf", None, None, concurrent=1, max_body=1)
        desk.services.add(deaf)
        assert not await desk.services.offer(deaf, Job(PEER, b"", desk.answers.append))
        assert not await desk.services.offer(deaf, Job(PEER, b"", None))
        assert [answer.code for answer in desk.answers] == ["not-offered"]
        assert (desk.services.counters.requests, desk.services.counters.notices) == (1, 1)
        assert desk.services.counters.dropped == 1

    at_desk(slow, body)


def test_a_fault_is_told_and_answered_and_the_worker_goes_on() -> None:
    async def handler(_peer: bytes, body: bytes) -> bytes:
        if body == b"fault":
            raise RuntimeError("a fault")
        if body == b"odd":
            raise ProtocolError("No Code")
        if body == b"no":
            raise ProtocolError("my-code")
        return body

    async def body(desk: Desk) -> None:
        for each in (b"fault", b"odd", b"no", b"yes"):
            await desk.ask(each)
        await desk.tell(b"fault")
        await trio.sleep(1)
        assert [answer.code for answer in desk.answers] == ["internal", "internal", "my-code", ""]
        assert desk.faults == ["desk: a fault", "desk: No Code", "desk: a fault"]
        assert desk.services.counters.failed == 3

    at_desk(handler, body, settings=ServiceSettings())


def test_protocols_are_offered_once_and_are_bounded() -> None:
    async def body(desk: Desk) -> None:
        with pytest.raises(ValueError, match="'desk' has handlers already"):
            desk.services.add(desk.service)
        for name in ("one", "two"):
            desk.services.add(Service(name, slow, None, concurrent=1, max_body=1))
        with pytest.raises(ValueError, match="at most 3 protocols"):
            desk.services.add(Service("three", slow, None, concurrent=1, max_body=1))
        assert desk.services.get("two") is not None
        assert desk.services.get("three") is None

    at_desk(slow, body, settings=ServiceSettings(max_services=3))
