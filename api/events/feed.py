"""One user's events on this replica: read once for all who listen, pulled by each at their pace."""

import asyncio
import json
import uuid
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.models import TaskEvent
from db.queries.events import Standing
from pipelines.notices import about

PAGE = 100
"""Events that are read at a time."""
KEPT = 256
"""Events that are remembered; who is further behind reads the table."""
RESYNC = "resync_required"


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told. Without a number it is said once and never replayed."""

    type: str
    data: Mapping[str, Any]
    text: str
    """The data as JSON, made once for all who are told."""
    sequence: int | None = None
    task_id: uuid.UUID | None = None
    media_file_id: uuid.UUID | None = None


def said(kind: str, data: Mapping[str, Any], **more: Any) -> Event:
    """An event with its JSON: ASCII, so that no character ends a line of a stream."""
    return Event(kind, data, json.dumps(data, separators=(",", ":")), **more)


def numbered(row: TaskEvent) -> Event:
    """The event of a row."""
    return said(
        row.type,
        row.payload,
        sequence=row.sequence,
        task_id=row.task_id,
        media_file_id=row.media_file_id,
    )


def resync(last_event_id: int, oldest: int, newest: int) -> Event:
    """Says that the events after `last_event_id` are not there, and which ones are."""
    data = {"last_event_id": last_event_id, "oldest": oldest, "newest": newest}
    return said(RESYNC, data)


def unnumbered(standing: Standing) -> Event:
    """What a task's row says now; nobody who misses it is told later."""
    task, file = standing.task, standing.file
    if task is None:
        raise ValueError("nothing stands there: there is no task")
    notice, told = about(task, file)
    return said(notice, told, task_id=task.id, media_file_id=task.media_file_id)


class Draining(Exception):
    """This replica goes; its clients are to connect anew."""


Read = Callable[[int], Awaitable[Sequence[Event]]]
"""Reads the events after a number, at most PAGE of them."""


class Feed:
    """What is remembered of one user's events while somebody listens to them.

    `_events` are all events with numbers above `_floor` and up to `_read`, in order.
    """

    def __init__(self, load: Read, latest: int) -> None:
        self._load = load
        self._floor = self._read = latest
        self._events: list[Event] = []
        self._doubts = self._settled = 0
        self._reading = asyncio.Lock()
        self._progress: dict[uuid.UUID, _Shown] = {}
        self._serial = 0
        self._signal = asyncio.Event()
        self._closed = False

    @property
    def signal(self) -> asyncio.Event:
        """Set when there may be something new; get it before you look."""
        if self._closed:
            raise Draining
        return self._signal

    def told(self, sequence: int) -> None:
        """There is an event of this number."""
        if sequence > self._read:
            self.doubt()

    def doubt(self) -> None:
        """There may be something new."""
        self._doubts += 1
        self._wake()

    def close(self) -> None:
        """Send every subscriber away."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        woken, self._signal = self._signal, asyncio.Event()
        woken.set()

    async def after(self, position: int) -> Sequence[Event]:
        """The next events after a number; none where there are none."""
        if not self._fresh and position >= self._floor:
            async with self._reading:
                if not self._fresh:
                    await self._fetch()
        if position < self._floor:
            return await self._load(position)
        return self._events[bisect_right(self._events, position, key=_number) :]

    @property
    def _fresh(self) -> bool:
        return self._settled == self._doubts

    async def _fetch(self) -> None:
        doubts = self._doubts
        events = await self._load(self._read)
        for event in events:
            self._add(event)
        # A full page may not be the last one.
        if len(events) < PAGE:
            self._settled = doubts

    def _add(self, event: Event) -> None:
        self._read = _number(event)
        self._events.append(event)
        if len(self._events) > KEPT:
            self._floor = _number(self._events.pop(0))
        shown = self._progress.get(event.task_id) if event.task_id else None
        if event.task_id and shown and shown.known_at < self._read:
            del self._progress[event.task_id]

    def show(self, task_id: uuid.UUID, known_at: int, event: Event) -> None:
        """Remember what a task's row said when the user's last event had the number `known_at`."""
        if known_at < self._floor or self._overtaken(task_id, known_at):
            return
        self._serial += 1
        self._progress[task_id] = _Shown(self._serial, known_at, event)
        # What it comes after must have been told before it.
        self._doubts += known_at > self._read
        self._wake()

    def _overtaken(self, task_id: uuid.UUID, known_at: int) -> bool:
        return any(event.task_id == task_id and _number(event) > known_at for event in self._events)

    def shown_after(self, serial: int) -> tuple[int, Sequence[Event]]:
        """The latest progress of each task that moved since, and the number to ask with next."""
        return self._serial, [
            shown.event for shown in self._progress.values() if shown.serial > serial
        ]


def _number(event: Event) -> int:
    if event.sequence is None:
        raise ValueError(f"{event.type} has no number")
    return event.sequence


@dataclass(frozen=True, slots=True)
class _Shown:
    serial: int
    known_at: int
    event: Event


class Subscription:
    """One client's place in a feed. It pulls: who is slow holds up nobody and misses nothing."""

    def __init__(self, feed: Feed, position: int) -> None:
        self._feed = feed
        self._serial = 0
        self.position = position
        """The number of the last event that was handed out."""

    async def next(self) -> Sequence[Event]:
        """Wait for what comes next: events in order, or where all are told, progress.

        Cancelling loses nothing.

        Raises:
            Draining: the replica goes.
        """
        while True:
            signal = self._feed.signal
            if events := await self._feed.after(self.position):
                return self._advance(events)
            self._serial, moved = self._feed.shown_after(self._serial)
            if moved:
                return moved
            await signal.wait()

    def _advance(self, events: Sequence[Event]) -> Sequence[Event]:
        before, first = self.position, _number(events[0])
        self.position = _number(events[-1])
        if first == before + 1:
            return events
        # So slow that the table no longer has them.
        return [resync(before, first, self.position), *events]
