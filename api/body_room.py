"""Lets large bodies in only while there is room for them: what many clients send at once waits.

Serve's proxy keeps each body in memory, and the replica again. A request whose body is large waits
here, before a byte of it is read, until those before it have been answered; the sockets hold it up.
Runs inside the proxy, with `api.body_limit`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, ErrorType, problem_response
from api.request_context import request_id_of

SMALL_BYTES = 64 * 1024
"""What a server reads ahead of anybody's asking; bodies up to this go past the queue."""


class Room:
    """So many bytes, given out first come, first served."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, size: int, seconds: float) -> AsyncIterator[None]:
        """Hold `size` bytes, at most all, while the block runs.

        Raises:
            TimeoutError: there was no room within so many seconds.
        """
        size = min(size, self._size)
        async with asyncio.timeout(seconds):
            await self._enter(size)
        try:
            yield
        finally:
            self._leave(size)

    async def _enter(self, size: int) -> None:
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            # It may have been called up in the same moment.
            if turn.done() and not turn.cancelled():
                self._leave(size)
            elif entry in self._waiting:
                self._waiting.remove(entry)
                self._leave(0)
            raise

    def _leave(self, size: int) -> None:
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= wanted
                turn.set_result(None)


class BodyRoom:
    """Makes large bodies wait for room, and those that come too slowly give theirs up."""

    def __init__(
        self, app: ASGIApp, room_bytes: int, wait_seconds: float, body_seconds: float, most: int
    ) -> None:
        self._app = app
        self._room = Room(room_bytes)
        self._wait_seconds = wait_seconds
        self._body_seconds = body_seconds
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when there is room for its body."""
        size = self._size(scope) if scope["type"] == "http" else 0
        if size <= SMALL_BYTES:
            await self._app(scope, receive, send)
            return
        try:
            async with self._room.taken(size, self._wait_seconds):
                await self._in_time(scope, receive, send)
        except TimeoutError:
            busy = "Too many large bodies at a time; send it again."
            await _refuse(ErrorType.server_busy, busy, scope, receive, send)

    def _size(self, scope: Scope) -> int:
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if announced.isdecimal():
            # What is too large is refused behind this, unread.
            return int(announced) if int(announced) <= self._most else 0
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        return self._most if chunked else 0

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        deadline = asyncio.get_running_loop().time() + self._body_seconds
        state = {"complete": False, "late": False, "answered": False}

        async def timed() -> Message:
            if state["complete"]:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                # For the application this client has hung up.
                state["late"] = state["complete"] = True
                return {"type": "http.disconnect"}
            more = message["type"] == "http.request" and message.get("more_body", False)
            state["complete"] = not more
            return message

        async def watched(message: Message) -> None:
            if not state["late"]:
                state["answered"] = True
                await send(message)

        await self._app(scope, timed, watched)
        if state["late"] and not state["answered"]:
            late = f"The body did not arrive within {self._body_seconds:.0f} seconds."
            await _refuse(ErrorType.body_too_slow, late, scope, receive, send)


async def _refuse(
    error_type: ErrorType, detail: str, scope: Scope, receive: Receive, send: Send
) -> None:
    error = ApiError(error_type, detail, headers={"Connection": "close"})
    response = problem_response(error, instance=scope["path"], request_id=request_id_of(scope))
    await response(scope, receive, send)
