"""Gives every request an id, and a last line of defence: an error nobody handled is a plain 500."""

import re
import uuid
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, ErrorType, problem_response

HEADER = "X-Request-ID"
SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")

logger = structlog.get_logger(__name__)


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """The id that RequestId gave to this request."""
    return str(scope.get("state", {}).get("request_id", ""))


class RequestId:
    """Takes the caller's X-Request-ID where it is sane, else makes one, and answers with it once.

    It runs in Serve's proxy and in the replica: Serve adds the header as well, so it is set, not
    appended.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if SANE.fullmatch(given) else uuid.uuid4().hex
        MutableHeaders(scope=scope)[HEADER] = request_id
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)


class LastResort:
    """Answers 500 in the usual shape for what no handler knew, and logs it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer for it where the application cannot."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            logger.info("client hung up", path=scope["path"])
        except Exception:
            if scope["type"] != "http" or started:
                raise
            logger.exception("unhandled error", path=scope["path"])
            error = ApiError(ErrorType.internal_error, "Something went wrong on our side.")
            response = problem_response(
                error, instance=scope["path"], request_id=request_id_of(scope)
            )
            await response(scope, receive, send)
