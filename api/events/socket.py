"""The WebSocket of a user's events: /api/ws."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.websockets import WebSocketDisconnect

from api.dependencies import App, Services
from api.events import door, presence
from api.events.door import Closing, Visitor
from api.events.feed import Draining, Event, Subscription
from api.events.hub import TooManyStreams
from db.errors import StoreUnavailable

ECHOES = 30
ECHO_SECONDS = 10.0
"""So many frames may a client send in so many seconds: heartbeats, not a load."""
WATCH_SECONDS = 10.0
"""Where nothing happens, this often it is seen whether the session is to be checked."""

logger = structlog.get_logger(__name__)
router = APIRouter()


@router.websocket("/api/ws")
async def events_socket(websocket: WebSocket, services: App) -> None:
    """Everything that happens to one's files and tasks (`docs/events.md`)."""
    await websocket.accept()
    try:
        visitor = await door.authenticate(websocket, services)
        await _attend(websocket, services, visitor)
    except WebSocketDisconnect:
        return
    except Closing as closing:
        await _close(websocket, closing.code, closing.reason)
    except Draining:
        await _close(websocket, door.RESTART, "This server restarts: connect anew.")
    except TooManyStreams as refusal:
        await _close(websocket, door.AGAIN_LATER, str(refusal))
    except (StoreUnavailable, PoolTimeout) as error:
        logger.warning("a store did not answer", path=websocket.url.path, error=repr(error))
        await _close(websocket, door.AGAIN_LATER, "A store does not answer: connect later.")


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    try:
        await websocket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError) as gone:
        # The client closed at the same moment.
        logger.info("closed already", code=code, error=repr(gone))


async def _attend(websocket: WebSocket, services: Services, visitor: Visitor) -> None:
    """Talk to a client until one of both goes."""
    user_id = visitor.signed_in.user.id
    async with services.hub.subscribed(user_id, visitor.last_event_id) as (place, resync):
        data = {"user_id": str(user_id), "last_event_id": place.position}
        await _say(websocket, "connection_established", data)
        if resync is not None:
            await websocket.send_text(framed(resync))
        still_signed_in = presence.still_signed_in(services, visitor.signed_in.claims)
        await until_one_ends(_tell(websocket, place, still_signed_in), _hear(websocket))


async def _tell(
    websocket: WebSocket, place: Subscription, still_signed_in: Callable[[], Awaitable[bool]]
) -> None:
    """Send what comes for as long as the session goes on."""
    while await still_signed_in():
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCH_SECONDS):
                events = await place.next()
            for event in events:
                await websocket.send_text(framed(event))
    raise Closing(door.NOT_SIGNED_IN, "You have signed out.")


def framed(event: Event) -> str:
    """One event as a frame."""
    number = f'"id":{event.sequence},' if event.sequence is not None else ""
    return f'{{"type":"{event.type}",{number}"data":{event.text}}}'


async def _hear(websocket: WebSocket) -> None:
    """Answer heartbeats."""
    heard: deque[float] = deque(maxlen=ECHOES)
    while True:
        text = await door.text_frame(websocket)
        now = time.monotonic()
        if len(heard) == ECHOES and now - heard[0] < ECHO_SECONDS:
            raise Closing(door.POLICY, f"More than {ECHOES} frames in {ECHO_SECONDS:.0f} s.")
        heard.append(now)
        # A token that comes twice is not sent back.
        if door.authentication(text) is None:
            await _say(websocket, "echo", text)


async def _say(websocket: WebSocket, kind: str, data: Any) -> None:
    await websocket.send_text(json.dumps({"type": kind, "data": data}))


async def until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, end the others, and raise what ended it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
