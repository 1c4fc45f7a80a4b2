"""The control API: HTTP under /v1, JSON in and out, errors as problem+json (RFC 9457).

It is reached over a Unix socket that only its owner can open, so there is no log-in and no check of origins; nothing
here may be put on a TCP port as it is. A request is read strictly and within a bound; what is wrong with it is
answered with 400 and the name of the part. Verbs that work take turns; those that wait stand in `waits`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from kadnet import shapes
from kadnet.daemon.messages import MessageVerbs
from kadnet.daemon.verbs import Verbs
from kadnet.daemon.waits import Waits, WaitSettings
from kadnet.errors import InputError, KadnetError, NoNode, NotFound

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AppSettings:
    """`max_body`: bytes of a request; the longest message may take six times as many in JSON. `at_once`: verbs running
    at the same time; more wait their turn, so a script in a loop cannot fill the node with walks; half of the
    connections. `read_within`: seconds for a body to come; a process of this machine sends it in one go, and a
    thousand that never do must not hold the connections for a client's whole minute."""

    max_body: int = 512 * 1024
    at_once: int = 64
    read_within: float = 5.0
    waits: WaitSettings = field(default_factory=WaitSettings)


def make_app(verbs: Verbs, settings: AppSettings | None = None, stopping: trio.Event | None = None) -> Starlette:
    """The application that serves `verbs`. Once `stopping` is set nothing waits in it any more."""
    settings = settings or AppSettings()
    stopping = trio.Event() if stopping is None else stopping
    turns = trio.Semaphore(settings.at_once)

    def get(verb: Callable[[], Awaitable[Any]]) -> Handler:
        async def handle(request: Request) -> Response:
            return _json(await verb())

        return handle

    def post(verb: Callable[[Any], Awaitable[Any]], shape: type[Any]) -> Handler:
        async def handle(request: Request) -> Response:
            wish = await _wish(request, shape, settings)
            async with turns:
                return _json(await verb(wish))

        return handle

    waiting = _Waiting(verbs.chat, settings, turns, stopping)
    chat = verbs.chat
    return Starlette(
        routes=[
            Route("/v1/status", get(verbs.status), methods=["GET"]),
            Route("/v1/peers", get(verbs.peers), methods=["GET"]),
            Route("/v1/table", get(verbs.table), methods=["GET"]),
            Route("/v1/ping", post(verbs.ping, shapes.PingRequest), methods=["POST"]),
            Route("/v1/lookup", post(verbs.lookup, shapes.LookupRequest), methods=["POST"]),
            Route("/v1/put", post(verbs.put, shapes.PutRequest), methods=["POST"]),
            Route("/v1/get", post(verbs.get, shapes.GetRequest), methods=["POST"]),
            Route("/v1/resolve", post(chat.resolve, shapes.ResolveRequest), methods=["POST"]),
            Route("/v1/send", waiting.send, methods=["POST"]),
            Route("/v1/delivery", waiting.delivery, methods=["POST"]),
            Route("/v1/inbox", waiting.inbox, methods=["POST"]),
            Route("/v1/outbox", post(chat.outbox, shapes.OutboxRequest), methods=["POST"]),
            Route("/v1/contacts", get(chat.contacts), methods=["GET"]),
            Route("/v1/contacts/add", post(chat.add_contact, shapes.ContactRequest), methods=["POST"]),
            Route("/v1/contacts/remove", post(chat.remove_contact, shapes.NameRequest), methods=["POST"]),
        ],
        exception_handlers={
            KadnetError: _refused,
            HTTPException: _no_such_thing,
            # Starlette answers with this and raises the error again, so that hypercorn logs it.
            Exception: _broken,
        },
    )


class _Waiting:
    """The verbs that may wait: they work in their turn, and wait outside of it."""

    def __init__(self, chat: MessageVerbs, settings: AppSettings, turns: trio.Semaphore, stopping: trio.Event) -> None:
        self._chat = chat
        self._settings = settings
        self._turns = turns
        self._stopping = stopping
        self._waits = Waits(stopping, settings.waits)

    async def send(self, request: Request) -> Response:
        wish = await _wish(request, shapes.SendRequest, self._settings)
        async with self._turns:
            sent = await self._chat.post(wish)
        return await self._settled(request, sent.id, wish.wait)

    async def delivery(self, request: Request) -> Response:
        wish = await _wish(request, shapes.DeliveryRequest, self._settings)
        return await self._settled(request, wish.id, wish.wait)

    async def _settled(self, request: Request, id: str, wait: float) -> Response:
        within = self._chat.patience(wait)
        sent = await self._waits.delivery(request, within, partial(self._chat.delivered, id)) if within else None
        sent = sent or self._chat.sent(id)
        if sent.state == "queued" and self._stopping.is_set():
            sent = replace(sent, problem="the node is stopping")
        return _json(sent)

    async def inbox(self, request: Request) -> Response:
        wish = await _wish(request, shapes.InboxRequest, self._settings)
        async with self._turns:
            found: list[shapes.Message] | None = await self._chat.inbox(wish)
        if wish.wait and not found:
            found = await self._waits.poll(request, partial(self._chat.coming, wish))
        if found is None:
            raise NoNode("the node is stopping")
        return _json(found)


async def _wish(request: Request, shape: type[T], settings: AppSettings) -> T:
    return shapes.from_json(shape, await _body(request, settings), strict=True)


async def _body(request: Request, settings: AppSettings) -> Any:
    """The JSON of a request's body. InputError when it is too long, too slow or no JSON."""
    content = bytearray()
    try:
        with trio.fail_after(settings.read_within):
            async with aclosing(request.stream()) as stream:
                async for part in stream:
                    content += part
                    if len(content) > settings.max_body:
                        raise InputError(f"the request has more than {settings.max_body} bytes")
    except trio.TooSlowError:
        raise InputError(f"the request did not come within {settings.read_within:g} seconds") from None
    except ClientDisconnect:
        raise InputError("the request was cut short") from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("the request is not JSON") from None


def _json(shape: Any) -> Response:
    return Response(json.dumps(shapes.to_json(shape)), media_type="application/json")


def _problem(error: KadnetError, *, status: int | None = None) -> Response:
    problem = shapes.problem_of(error)
    return Response(
        json.dumps(shapes.to_json(problem)), status_code=status or problem.status, media_type=shapes.PROBLEM_TYPE
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, KadnetError)
    return _problem(error)


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = (
        "the paths are /v1/status, peers, table, contacts (GET), ping, lookup, put, get, resolve, send, delivery, "
        "inbox, outbox, contacts/add, contacts/remove (POST)"
    )
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _problem(NotFound("there is nothing at this path", hint=hint))
    return _problem(InputError(f"the request is refused: {error.detail}", hint=hint), status=error.status_code)


async def _broken(request: Request, error: Exception) -> Response:
    return _problem(KadnetError("the node met an error of its own"))
