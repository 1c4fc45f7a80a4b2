"""What this node answers over links: one service for each protocol, with a queue and a few workers.

Jobs of a service start in the order in which they came. A worker is a task that takes one job after the other, so a
notice costs no task of its own; a second worker starts only when the first is held up inside a handler. When a queue
is full, the link that brings more waits (and TCP makes its sender wait) for a while, after which a request is answered
"busy" and a notice is dropped and counted.

Left out: links. A job carries the function that takes its answer.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from kadnet.errors import KadnetError, ProtocolError, meaning
from kadnet.metrics import Reasons
from kadnet.wire.envelopes import is_code

OnRequest = Callable[[bytes, bytes], Awaitable[bytes]]
OnNotice = Callable[[bytes, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """`waiting`: jobs of one protocol that wait for a worker; with bodies of 64 KiB, 16 MiB at the very worst.
    `patience`: seconds a link waits for room there; far below the 30 s after which a link counts as dead.
    `turn`: jobs a worker does before the loop gets to breathe. `max_services`: protocols in one node.
    """

    waiting: int = 256
    patience: float = 5.0
    turn: int = 32
    max_services: int = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: the body of the answer, or a code and a detail."""

    body: bytes
    code: str = ""
    detail: str = ""


class Job:
    """One request (`answer` takes the outcome) or notice (`answer` is None) of a peer."""

    __slots__ = ("answer", "body", "peer")

    def __init__(self, peer: bytes, body: bytes, answer: Callable[[Answer], object] | None) -> None:
        self.peer = peer
        self.body = body
        self.answer = answer


@dataclass(slots=True)
class ServiceCounters:
    """`dropped`: notices for which there was no room in time. `refused`: requests by the code of their answer.
    `failed`: handlers that raised what they should not."""

    requests: int = 0
    notices: int = 0
    dropped: int = 0
    failed: int = 0


class Service:
    """The handlers of one protocol and what waits for them."""

    def __init__(
        self,
        protocol: str,
        on_request: OnRequest | None,
        on_notice: OnNotice | None,
        *,
        concurrent: int,
        max_body: int,
    ) -> None:
        self.protocol = protocol
        self.on_request = on_request
        self.on_notice = on_notice
        self.concurrent = concurrent
        self.max_body = max_body
        self.jobs: deque[Job] = deque()
        self.workers = 0
        self.idle = trio.lowlevel.ParkingLot()
        self.room = trio.lowlevel.ParkingLot()
        self.woken = False
        self.stuck = False


class Services:
    """The protocols of a node."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        failed: Callable[[str, BaseException, str], object],
        raise_errors: bool,
    ) -> None:
        """`failed(protocol, error, traceback)` is told of a handler that raised what it should not; with
        `raise_errors` that ends the node as well."""
        self.counters = ServiceCounters()
        self.refused = Reasons()
        self._settings = settings
        self._failed = failed
        self._raise_errors = raise_errors
        self._services: dict[str, Service] = {}
        self._nursery: trio.Nursery | None = None

    def add(self, service: Service) -> None:
        """Offer a protocol. ValueError when it is offered already, or there are too many."""
        if service.protocol in self._services:
            raise ValueError(f"protocol {service.protocol!r} has handlers already")
        if len(self._services) >= self._settings.max_services:
            raise ValueError(f"a node offers at most {self._settings.max_services} protocols")
        self._services[service.protocol] = service

    def get(self, protocol: str) -> Service | None:
        return self._services.get(protocol)

    def work_in(self, nursery: trio.Nursery) -> None:
        """Where workers live."""
        self._nursery = nursery

    async def offer(self, service: Service, job: Job) -> bool:
        """Queue a job, waiting a while for room; whether it had to wait. Without a checkpoint when there is room."""
        if job.answer is None:
            self.counters.notices += 1
        else:
            self.counters.requests += 1
        if (service.on_notice if job.answer is None else service.on_request) is None:
            self._refuse(job, "not-offered")
            return False
        waits = len(service.jobs) >= self._settings.waiting and not service.stuck
        if waits:
            with trio.move_on_after(self._settings.patience):
                while len(service.jobs) >= self._settings.waiting:
                    await service.room.park()
        if len(service.jobs) >= self._settings.waiting:
            service.stuck = True  # until a handler ends: a link that waited for each of its messages would seem dead
            self._refuse(job, "busy")
        else:
            service.jobs.append(job)
            self._wake(service)
        return waits

    def refuse(self, answer: Callable[[Answer], object], code: str, detail: str = "") -> None:
        """Answer a request that reaches no handler, and count it."""
        self.refused.add(code)
        answer(Answer(b"", code, detail))

    def _refuse(self, job: Job, code: str) -> None:
        if job.answer is None:
            self.counters.dropped += 1
        else:
            self.refuse(job.answer, code)

    def _wake(self, service: Service) -> None:
        """See to it that somebody comes for the queue: one at a time, since one may well do it all."""
        if service.woken:
            return
        if service.idle:
            service.woken = True
            service.idle.unpark()
        elif service.workers < service.concurrent and self._nursery is not None:
            service.woken = True
            service.workers += 1
            self._nursery.start_soon(self._work, service)

    async def _work(self, service: Service) -> None:
        jobs = service.jobs
        service.woken = False
        while True:
            done = 0
            while jobs:
                job = jobs.popleft()
                service.stuck = False
                if service.room:
                    service.room.unpark()
                if jobs:
                    self._wake(service)  # should this one be held up
                await self._do(service, job)
                done += 1
                if done % self._settings.turn == 0:
                    await trio.lowlevel.checkpoint()
            await service.idle.park()
            service.woken = False

    async def _do(self, service: Service, job: Job) -> None:
        try:
            if job.answer is None:
                assert service.on_notice is not None
                await service.on_notice(job.peer, job.body)
                return
            assert service.on_request is not None
            answer = Answer(_bytes(await service.on_request(job.peer, job.body)))
        except ProtocolError as error:
            answer = Answer(b"", error.reason) if is_code(error.reason) else self._fault(service, error)
        except KadnetError as error:
            answer = Answer(b"", meaning(error).code)
        except Exception as error:  # noqa: BLE001  # a handler's own fault must not end the node: DESIGN's one such
            answer = self._fault(service, error)
        if answer.code:
            self.refused.add(answer.code)
        if job.answer is not None:
            job.answer(answer)

    def _fault(self, service: Service, error: Exception) -> Answer:
        """A handler raised what it should not have. Call it where the error is handled."""
        self.counters.failed += 1
        self._failed(service.protocol, error, traceback.format_exc())
        if self._raise_errors:
            raise error
        return Answer(b"", "internal")


def _bytes(answer: object) -> bytes:
    if not isinstance(answer, (bytes, bytearray, memoryview)):
        raise TypeError(f"on_request must return bytes, not {type(answer).__name__}")
    return bytes(answer)
