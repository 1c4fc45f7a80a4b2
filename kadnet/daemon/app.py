"""The control API: HTTP under /v1, JSON in and out, errors as problem+json (RFC 9457).

It is reached over a Unix socket that only its owner can open, so there is no log-in and no check of origins; nothing
here may be put on a TCP port as it is. A request is read strictly and within a bound; what is wrong with it is
answered with 400 and the name of the part.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from kadnet import shapes
from kadnet.daemon.verbs import Verbs
from kadnet.errors import InputError, KadnetError, NotFound

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AppSettings:
    """`max_body`: bytes of a request; the largest value of today in base64 is 1,200. `at_once`: verbs running at the
    same time; more wait their turn, so a script in a loop cannot fill the node with walks; half of the connections.
    `read_within`: seconds for a body to come; a process of this machine sends it in one go, and a
    thousand that never do must not hold the connections for a client's whole minute."""

    max_body: int = 128 * 1024
    at_once: int = 64
    read_within: float = 5.0


def make_app(verbs: Verbs, settings: AppSettings | None = None) -> Starlette:
    """The application that serves `verbs`."""
    settings = settings or AppSettings()
    turns = trio.Semaphore(settings.at_once)

    def get(verb: Callable[[], Awaitable[Any]]) -> Handler:
        async def handle(request: Request) -> Response:
            return _json(await verb())

        return handle

    def post(verb: Callable[[Any], Awaitable[Any]], shape: type[Any]) -> Handler:
        async def handle(request: Request) -> Response:
            wish = shapes.from_json(shape, await _body(request, settings), strict=True)
            async with turns:
                return _json(await verb(wish))

        return handle

    return Starlette(
        routes=[
            Route("/v1/status", get(verbs.status), methods=["GET"]),
            Route("/v1/peers", get(verbs.peers), methods=["GET"]),
            Route("/v1/table", get(verbs.table), methods=["GET"]),
            Route("/v1/ping", post(verbs.ping, shapes.PingRequest), methods=["POST"]),
            Route("/v1/lookup", post(verbs.lookup, shapes.LookupRequest), methods=["POST"]),
            Route("/v1/put", post(verbs.put, shapes.PutRequest), methods=["POST"]),
            Route("/v1/get", post(verbs.get, shapes.GetRequest), methods=["POST"]),
        ],
        exception_handlers={
            KadnetError: _refused,
            HTTPException: _no_such_thing,
            # Starlette answers with this and raises the error again, so that hypercorn logs it.
            Exception: _broken,
        },
    )


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
    hint = "the paths are /v1/status, peers, table (GET), ping, lookup, put, get (POST)"
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _problem(NotFound("there is nothing at this path", hint=hint))
    return _problem(InputError(f"the request is refused: {error.detail}", hint=hint), status=error.status_code)


async def _broken(request: Request, error: Exception) -> Response:
    return _problem(KadnetError("the node met an error of its own"))
