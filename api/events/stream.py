"""Server-sent events of one file: its state now, what was missed, then what happens."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Send

from api.dependencies import Services, SignedIn
from api.events.feed import PAGE, RESYNC, Draining, Event, Subscription, numbered, unnumbered
from api.events.hub import TooManyStreams
from api.events.presence import still_signed_in
from db.engine import session_scope
from db.errors import NotFound, StoreUnavailable
from db.models import TaskState
from db.queries import events
from pipelines.notices import Notice
from pipelines.task_state import TERMINAL

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = ": heartbeat\n\n"
RETRY = "retry: 2000\n\n"
"""When a browser comes back after a broken connection, in milliseconds."""
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    # Asks nginx and its kin not to hold pieces back.
    "X-Accel-Buffering": "no",
}

logger = structlog.get_logger(__name__)


class EventResponse(StreamingResponse):
    """Sends a stream and ends it when the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, stream: AsyncGenerator[str]) -> None:
        self._stream = stream
        super().__init__(stream, headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        """Send, and leave the feed in any case."""
        async with aclosing(self._stream):
            await super().stream_response(send)


def framed(event: Event) -> str:
    """One event as the format wants it."""
    number = f"id: {event.sequence}\n" if event.sequence is not None else ""
    return f"{number}event: {event.type}\ndata: {event.text}\n\n"


class FileStream:
    """One client's stream of one file's events."""

    def __init__(
        self, services: Services, signed_in: SignedIn, file_id: uuid.UUID, *, follow: bool
    ) -> None:
        self._services = services
        self._signed_in = signed_in
        self._file_id = file_id
        self._follow = follow
        self._newest: uuid.UUID | None = None
        self._over = False

    async def after(self, last_event_id: int | None) -> AsyncGenerator[str]:
        """The stream after the event that the client has seen last.

        Where it ends early, clients come again and say what they have.
        """
        try:
            async with aclosing(self._frames_after(last_event_id)) as frames:
                async for frame in frames:
                    yield frame
        except (Draining, TooManyStreams, NotFound, StoreUnavailable) as reason:
            logger.warning("an event stream ends early", reason=repr(reason))

    async def _frames_after(self, last_event_id: int | None) -> AsyncGenerator[str]:
        user_id = self._signed_in.user.id
        async with self._services.hub.subscribed(user_id, last_event_id) as (place, resync):
            yield RETRY
            async for frame in self._before(place, resync, last_event_id):
                yield frame
            presence = still_signed_in(self._services, self._signed_in.claims)
            while not self._over and await presence():
                yield await self._next(place)

    async def _before(
        self, place: Subscription, resync: Event | None, last_event_id: int | None
    ) -> AsyncGenerator[str]:
        """How the file stands, and what was missed until then."""
        async with session_scope(self._services.sessions) as session:
            standing = await events.standing_of_file(
                session, self._signed_in.user.id, self._file_id
            )
        if standing.task is not None:
            self._newest = standing.task.id
            yield framed(unnumbered(standing))
        if resync is not None:
            yield framed(resync)
        if last_event_id is not None:
            async for event in self._missed(place.position, standing.sequence):
                yield framed(event)
        place.position = standing.sequence
        ended = standing.task is not None and standing.task.state in TERMINAL
        self._over = ended and not self._follow

    async def _missed(self, position: int, until: int) -> AsyncGenerator[Event]:
        """This file's events with numbers above `position` and up to `until`."""
        while True:
            async with session_scope(self._services.sessions) as session:
                rows = await events.after(
                    session,
                    self._signed_in.user.id,
                    position,
                    PAGE,
                    media_file_id=self._file_id,
                )
            for row in rows:
                if row.sequence > until:
                    return
                yield numbered(row)
            if len(rows) < PAGE:
                return
            position = rows[-1].sequence

    async def _next(self, place: Subscription) -> str:
        """What comes next, or a heartbeat where nothing came for a while."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                while not (frames := "".join(self._told(await place.next()))):
                    pass
        except TimeoutError:
            return HEARTBEAT
        return frames

    def _told(self, batch: Iterable[Event]) -> Iterable[str]:
        for event in batch:
            if self._over or not self._concerns(event):
                continue
            yield framed(event)
            self._over = self._ends(event)

    def _concerns(self, event: Event) -> bool:
        return event.media_file_id == self._file_id or event.type == RESYNC

    def _ends(self, event: Event) -> bool:
        """Whether nothing more is to come: the newest task is over, or the file is gone."""
        if event.type == Notice.file_deleted:
            return True
        if event.type != Notice.transcription_status or event.sequence is None:
            return False
        if event.data["task_state"] == TaskState.queued and event.data["attempt"] == 0:
            self._newest = event.task_id
        ended = event.task_id == self._newest and event.data["task_state"] in TERMINAL
        return ended and not self._follow
