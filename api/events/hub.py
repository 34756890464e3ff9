"""The feeds of this replica, and the one connection on which PostgreSQL wakes them."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from api.events.feed import PAGE, Draining, Event, Feed, Subscription, numbered, resync, unnumbered
from db.engine import Sessions, session_scope
from db.errors import StoreUnavailable
from db.notify import EVENTS, PROGRESS, listening
from db.queries import events

PROGRESS_SECONDS = 1.0
"""Progress is said at most this often."""
PULSE_SECONDS = 30.0
"""How often the listening connection is tried: one whose server vanished hears nothing."""
PULSE_TIMEOUT_SECONDS = 10.0
READS = 4
"""Readings at a time, so that a crowd of clients leaves connections for requests."""
LARGEST_ID = 2**63 - 1
"""Numbers of events are PostgreSQL's bigints."""
STREAMS_PER_USER = 250
"""Streams of one user at a time: they must not take every place of a replica."""

logger = structlog.get_logger(__name__)


class TooManyStreams(Exception):
    """This user has as many streams on this replica as one may have."""


class Hub:
    """Wakes those who listen when something of their user's is new; starts with the first one."""

    def __init__(self, database_url: str, sessions: Sessions) -> None:
        self._database_url = database_url
        self._sessions = sessions
        self._feeds: dict[uuid.UUID, Feed] = {}
        self._streams: dict[uuid.UUID, int] = {}
        self._moved: dict[uuid.UUID, set[uuid.UUID]] = {}
        self._moving = asyncio.Event()
        self._reads = asyncio.Semaphore(READS)
        self._loops: list[asyncio.Task[None]] = []
        self._closed = False

    def send_away(self) -> None:
        """Let everybody connect anew, elsewhere if this replica goes."""
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            feed.close()

    async def close(self) -> None:
        """Send everybody away and let go of the connection."""
        self._closed = True
        self.send_away()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    @asynccontextmanager
    async def subscribed(
        self, user_id: uuid.UUID, last_event_id: int | None = None
    ) -> AsyncIterator[tuple[Subscription, Event | None]]:
        """A client's place after the event it has seen last; without one, it begins at now.

        With it comes a `resync_required` where there are no events after that number.

        Raises:
            TooManyStreams: one user may not have more.
            Draining: the replica goes.
        """
        self._admit(user_id)
        self._streams[user_id] = self._streams.get(user_id, 0) + 1
        try:
            yield await self._place(user_id, last_event_id)
        finally:
            self._leave(user_id)

    def is_full(self, user_id: uuid.UUID) -> bool:
        """Whether this user may have no further stream here."""
        return self._streams.get(user_id, 0) >= STREAMS_PER_USER

    def _admit(self, user_id: uuid.UUID) -> None:
        if self._closed:
            raise Draining
        if self.is_full(user_id):
            raise TooManyStreams(f"There are {STREAMS_PER_USER} streams of yours already.")
        if not self._loops:
            self._loops = [
                asyncio.create_task(_forever(loop)) for loop in (self._listen, self._tell_progress)
            ]

    def _leave(self, user_id: uuid.UUID) -> None:
        self._streams[user_id] -= 1
        if not self._streams[user_id]:
            del self._streams[user_id]
            self._feeds.pop(user_id, None)

    async def _place(
        self, user_id: uuid.UUID, last_event_id: int | None
    ) -> tuple[Subscription, Event | None]:
        floor, latest = await self._asked(lambda session: events.bounds(session, user_id))
        feed = self._feed(user_id, latest)
        if last_event_id is None:
            return Subscription(feed, latest), None
        if floor <= last_event_id <= latest:
            return Subscription(feed, last_event_id), None
        return Subscription(feed, floor), resync(last_event_id, floor + 1, latest)

    def _feed(self, user_id: uuid.UUID, latest: int) -> Feed:
        if self._closed:
            raise Draining
        if user_id not in self._feeds:
            feed = Feed(lambda position: self._page(user_id, position), latest)
            self._feeds[user_id] = feed
            # Nobody told this feed of what came since `latest` was read.
            feed.doubt()
        return self._feeds[user_id]

    async def _page(self, user_id: uuid.UUID, position: int) -> Sequence[Event]:
        """Events after a number; an outage of the database is waited out, as clients would."""
        while True:
            try:
                rows = await self._asked(
                    lambda session: events.after(session, user_id, position, PAGE)
                )
                return [numbered(row) for row in rows]
            except (StoreUnavailable, PoolTimeout) as error:
                logger.warning("events cannot be read, trying again", error=repr(error))
                await _pause()

    async def _asked(self, question: Callable[[AsyncSession], Coroutine[Any, Any, Any]]) -> Any:
        async with self._reads, session_scope(self._sessions) as session:
            return await question(session)

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        channels = {EVENTS: self._event_told, PROGRESS: self._progress_told}
        async with listening(self._database_url, channels) as connection:
            # What was told while nobody listened is in the table.
            for feed in list(self._feeds.values()):
                feed.doubt()
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            while not connection.is_closed():
                await _pulse(connection, gone)
        logger.warning("the listening connection is lost, connecting anew")
        await _pause()

    def _event_told(self, payload: str) -> None:
        user, _, sequence = payload.partition(" ")
        if feed := self._feeds.get(uuid.UUID(user)):
            feed.told(int(sequence))

    def _progress_told(self, payload: str) -> None:
        user, _, task = payload.partition(" ")
        if (user_id := uuid.UUID(user)) in self._feeds:
            self._moved.setdefault(user_id, set()).add(uuid.UUID(task))
            self._moving.set()

    async def _tell_progress(self) -> None:
        """Say of every task that moved how far it is now."""
        await self._moving.wait()
        self._moving.clear()
        moved, self._moved = self._moved, {}
        task_ids = [task for user in moved if user in self._feeds for task in moved[user]]
        standings = await self._asked(lambda session: events.standing_of_running(session, task_ids))
        for standing in standings:
            if (task := standing.task) and (feed := self._feeds.get(task.user_id)):
                feed.show(task.id, standing.sequence, unnumbered(standing))
        await asyncio.sleep(PROGRESS_SECONDS)


async def _forever(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A loop that outlives its store: an outage is logged, waited out, and tried again."""
    while True:
        try:
            await loop()
        except Exception:
            logger.exception("events: a loop failed", loop=loop.__name__)
            await _pause()


async def _pause() -> None:
    await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - jitter


async def _pulse(connection: asyncpg.Connection, gone: asyncio.Event) -> None:
    """Wait for the connection's end, and try now and then whether it lives."""
    try:
        async with asyncio.timeout(PULSE_SECONDS):
            await gone.wait()
            return
    except TimeoutError:
        pass
    try:
        await connection.execute("SELECT 1", timeout=PULSE_TIMEOUT_SECONDS)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        logger.warning("the listening connection does not answer", error=repr(error))
        connection.terminate()
