"""Refuses bodies that are too large before anybody buffers them.

Serve's proxy keeps a whole body in memory before the application sees it, so this runs inside the
proxy: `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=api.body_limit.middlewares`. The application has
it too, for servers in front of which no such proxy stands.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.body_room import BodyRoom
from api.errors import ApiError, ErrorType, problem_response
from api.request_context import RequestId, request_id_of
from cluster.settings import ApiSettings

MULTIPART_SLACK_BYTES = 64 * 1024
"""Room for the framing of a multipart form around a file of the greatest size."""

LINGER_BYTES = 32 * 1024 * 1024
LINGER_SECONDS = 5


class BodyLimit:
    """Lets a body pass up to a size; asks nobody for more than that."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._limit = max_body_bytes + MULTIPART_SLACK_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by the announced length, or by counting where none is announced."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if announced.isdecimal():
            if int(announced) > self._limit:
                await self._refuse(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            await self._count(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take in a body of unknown length up to the limit, then hand it on as it came."""
        messages: list[Message] = []
        size = 0
        more = True
        while more:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                messages.clear()
                await self._refuse(scope, receive, send)
                return
            more = message["type"] == "http.request" and message.get("more_body", False)
        waiting = iter(messages)

        async def replay() -> Message:
            message = next(waiting, None)
            return message if message is not None else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = ApiError(
            ErrorType.body_too_large,
            f"A request carries at most {self._max_body_bytes} bytes. Larger files go in parts: "
            "POST /api/files/upload/prepare, PUT /api/files/upload/{id}/parts/{n}, "
            "POST /api/files/upload/{id}/complete.",
            headers={"Connection": "close"},
            max_body_bytes=self._max_body_bytes,
        )
        response = problem_response(error, instance=scope["path"], request_id=request_id_of(scope))
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
        if not _waits_for_permission(scope):
            await _linger(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _waits_for_permission(scope: Scope) -> bool:
    """Whether the client sends its body only when asked to; reading would be asking."""
    return Headers(scope=scope).get("expect", "").lower() == "100-continue"


async def _linger(receive: Receive) -> None:
    """Throw away a little of what is still coming, so that the client gets to read the answer.

    Closing a socket with unread data resets the connection, which may destroy the answer on its
    way. A client that goes on for longer than this is cut off.
    """
    thrown_away = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while thrown_away < LINGER_BYTES:
                message = await receive()
                thrown_away += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def middlewares() -> list[Middleware]:
    """What Serve's proxy wraps around itself; the last one is outermost."""
    settings = ApiSettings()
    return [
        Middleware(BodyLimit, max_body_bytes=settings.max_body_bytes),
        Middleware(
            BodyRoom,
            room_bytes=settings.body_room_bytes,
            wait_seconds=settings.body_wait_seconds,
            body_seconds=settings.body_seconds,
            most=settings.max_body_bytes + MULTIPART_SLACK_BYTES,
        ),
        Middleware(RequestId),
    ]
