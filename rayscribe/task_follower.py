"""Follows one task through the API's event stream, however often the connection breaks."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

Task = Mapping[str, Any]

ENDED = frozenset({"completed", "failed", "cancelled"})
STATUS = "_status"
"""Ends the types of events that tell how a task stands (docs/events.md)."""
POLL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0


class StreamBroken(Exception):
    """The event stream ended before the task did, or could not be opened."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream; a comment, which says only that the connection lives, has no type."""

    type: str = ""
    id: str | None = None
    data: str = ""


class Source(Protocol):
    """Where tasks and events come from (rayscribe.api_client)."""

    def task(self, task_id: str) -> Task:
        """The task as it is now."""
        ...

    def event_lines(
        self, file_id: str, last_event_id: str | None
    ) -> AbstractContextManager[Iterator[str]]:
        """The lines of a file's event stream; they and the opening raise StreamBroken."""
        ...


def parse(lines: Iterable[str]) -> Iterator[ServerEvent]:
    """The events of a stream (WHATWG HTML, 9.2.6)."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line.startswith(":"):
            yield ServerEvent()
        elif line:
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield ServerEvent(fields.get("event", "message"), fields.get("id"), fields["data"])
            fields = {}


class TaskFollower:
    """What is known of one task; its progress never goes back."""

    def __init__(
        self, source: Source, task_id: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._source = source
        self._task_id = task_id
        self._sleep = sleep
        self._last_event_id: str | None = None
        self._task: dict[str, Any] = {"progress": 0.0}

    def states(self) -> Iterator[Task]:
        """The task each time something of it is new, until it has ended.

        The task itself is asked for at the beginning, after every break, and at the end.
        """
        pause = POLL_SECONDS
        while True:
            yield self._asked()
            if self._task["state"] in ENDED:
                return
            try:
                for task in self._streamed():
                    pause = POLL_SECONDS
                    yield task
            except StreamBroken:
                # Whether the service is away altogether is seen when the task is asked for.
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _asked(self) -> Task:
        return self._know(self._source.task(self._task_id))

    def _know(self, news: Mapping[str, Any]) -> Task:
        progress = max(self._task["progress"], news["progress"])
        self._task = {**self._task, **news, "progress": progress}
        return self._task

    def _streamed(self) -> Iterator[Task]:
        """What the stream says, until it says that the task has ended."""
        file_id = self._task["media_file_id"]
        if file_id is None:
            raise StreamBroken("a task without a file has no stream")
        with self._source.event_lines(file_id, self._last_event_id) as lines:
            for event in parse(lines):
                if (news := self._news(event)) is None:
                    return
                if news:
                    yield self._know(news)
        raise StreamBroken("the stream ended before the task did")

    def _news(self, event: ServerEvent) -> Mapping[str, Any] | None:
        """What an event says of the task; None where the task has ended."""
        self._last_event_id = event.id or self._last_event_id
        if not event.type and self._task["state"] == "queued":
            # Nobody tells when others leave the queue.
            return self._source.task(self._task_id)
        data = json.loads(event.data) if event.type.endswith(STATUS) else {}
        if data.get("task_id") != self._task_id:
            return {}
        if data["task_state"] in ENDED:
            return None
        return {
            "state": data["task_state"],
            "stage": data["stage"],
            "progress": data["progress"] / 100,
            "eta_seconds": data["eta_seconds"],
            "attempt": data["attempt"],
        }
