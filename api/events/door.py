"""Who may open the WebSocket: token in a header, in a cookie, or in the first frame."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from api.dependencies import Services, SignedIn, sign_in
from api.errors import ApiError
from api.events.hub import LARGEST_ID

AUTHENTICATE = "authenticate"
COOKIE = "access_token"
FIRST_FRAME_SECONDS = 10.0
MAX_FRAME_BYTES = 4096

UNSUPPORTED = 1003
POLICY = 1008
TOO_BIG = 1009
RESTART = 1012
AGAIN_LATER = 1013
NOT_SIGNED_IN = 4001


class Closing(Exception):
    """The connection ends with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who has signed in, and the event they have seen last."""

    signed_in: SignedIn
    last_event_id: int | None


async def authenticate(websocket: WebSocket, services: Services) -> Visitor:
    """Let somebody in.

    Raises:
        Closing: the token is missing, late or refused, or `last_event_id` is no number.
    """
    last_event_id = event_id(websocket.query_params.get("last_event_id"))
    token = _token(websocket)
    if token is None:
        frame = await _first_frame(websocket)
        token = str(frame.get("token", ""))
        last_event_id = event_id(frame.get("last_event_id", last_event_id))
    try:
        return Visitor(await sign_in(services, token), last_event_id)
    except ApiError as refusal:
        raise Closing(NOT_SIGNED_IN, refusal.detail) from refusal


def event_id(value: Any) -> int | None:
    """A number of an event as clients send it.

    Raises:
        Closing: it is none.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:20])
    if type(value) is int and 0 <= value <= LARGEST_ID:
        return value
    raise Closing(POLICY, "last_event_id is not the number of an event")


def _token(websocket: WebSocket) -> str | None:
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    cookie = websocket.cookies.get(COOKIE)
    if cookie and not same_host(websocket.headers):
        # Browsers send cookies along whichever page asks: only ours may.
        raise Closing(NOT_SIGNED_IN, "The cookie is of another site: authenticate by a frame.")
    return cookie or None


def same_host(headers: Mapping[str, str]) -> bool:
    """Whether the page that asks, if it is a page, is of this host."""
    origin = headers.get("origin")
    if origin is None:
        return True
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


async def _first_frame(websocket: WebSocket) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(FIRST_FRAME_SECONDS):
            text = await text_frame(websocket)
    except TimeoutError as late:
        raise Closing(
            NOT_SIGNED_IN, f"No authenticate frame within {FIRST_FRAME_SECONDS:.0f} s."
        ) from late
    frame = authentication(text)
    if frame is None:
        raise Closing(NOT_SIGNED_IN, 'Send {"type": "authenticate", "token": …} first.')
    return frame


async def text_frame(websocket: WebSocket) -> str:
    """The next frame.

    Raises:
        Closing: it is no text, or too large.
        WebSocketDisconnect: the client has gone.
    """
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005, message.get("reason"))
    text: str | None = message.get("text")
    if text is None:
        raise Closing(UNSUPPORTED, "Frames are text.")
    if len(text.encode("utf-8", "replace")) > MAX_FRAME_BYTES:
        raise Closing(TOO_BIG, f"Frames have at most {MAX_FRAME_BYTES} bytes.")
    return text


def authentication(text: str) -> Mapping[str, Any] | None:
    """The frame with a token, or None where it is something else."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(frame, dict) and frame.get("type") == AUTHENTICATE:
        return frame
    return None
