"""Following a task: the stream's format, breaks, progress that never goes back, the queue."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rayscribe.task_follower import ServerEvent, StreamBroken, TaskFollower, parse
from rayscribe.transcribe import standing

TASK: dict[str, Any] = {
    "id": "t",
    "media_file_id": "f",
    "state": "queued",
    "stage": None,
    "progress": 0.0,
    "eta_seconds": None,
    "attempt": 0,
}


def told(state: str, percent: float = 0.0, number: int | None = None, task: str = "t") -> str:
    data = {
        "task_id": task,
        "task_state": state,
        "stage": "align",
        "progress": percent,
        "eta_seconds": None,
        "attempt": 1,
    }
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: transcription_status\ndata: {json.dumps(data)}\n\n"


class Service:
    """Says what it was told to say: tasks in turn, the last one again and again, and streams."""

    def __init__(self, tasks: list[dict[str, Any]], streams: list[str]) -> None:
        self._tasks, self._streams = tasks, streams
        self.asked_after: list[str | None] = []
        self.pauses: list[float] = []

    def task(self, task_id: str) -> dict[str, Any]:
        return self._tasks.pop(0) if len(self._tasks) > 1 else self._tasks[0]

    @contextmanager
    def event_lines(self, file_id: str, last_event_id: str | None) -> Iterator[Iterator[str]]:
        self.asked_after.append(last_event_id)
        if not self._streams:
            raise StreamBroken("no more streams")
        yield iter(self._streams.pop(0).split("\n"))

    def follow(self) -> list[tuple[str, float]]:
        states = TaskFollower(self, "t", self.pauses.append).states()
        return [(state["state"], state["progress"]) for state in states]


def test_a_stream_is_read_as_its_format_says():
    text = 'retry: 2000\n\n: heartbeat\n\nid: 4\nevent: seen\ndata: {"a":1}\n\nid: 5\n\ndata:x\n\n'
    assert list(parse(text.split("\n"))) == [
        ServerEvent(),
        ServerEvent("seen", "4", '{"a":1}'),
        ServerEvent("message", None, "x"),
    ]


def test_the_end_is_asked_for():
    stream = told("queued") + told("running", 10, 2) + told("running", 60) + told("completed", 0, 3)
    service = Service([TASK, {**TASK, "state": "completed", "progress": 1.0}], [stream])
    assert service.follow() == [
        ("queued", 0.0),
        ("queued", 0.0),
        ("running", 0.1),
        ("running", 0.6),
        ("completed", 1.0),
    ]
    assert service.pauses == []


def test_a_broken_stream_goes_on_after_what_it_said_and_progress_never_goes_back():
    streams = [told("running", 50, 7), told("running", 20) + told("failed", 20, 9)]
    service = Service([TASK, TASK, {**TASK, "state": "failed"}], streams)
    assert service.follow() == [
        ("queued", 0.0),
        ("running", 0.5),
        ("queued", 0.5),
        ("running", 0.5),
        ("failed", 0.5),
    ]
    assert service.asked_after == [None, "7"]


def test_other_tasks_of_the_file_are_of_no_concern():
    stream = told("completed", 100, 3, task="other") + told("cancelled", 0, 4)
    service = Service([TASK, {**TASK, "state": "cancelled"}], [stream])
    assert service.follow() == [("queued", 0.0), ("cancelled", 0.0)]


def test_without_streams_it_is_asked_less_and_less_often():
    service = Service([TASK] * 7 + [{**TASK, "state": "completed"}], [])
    assert service.follow()[-1] == ("completed", 0.0)
    assert service.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_while_it_waits_a_heartbeat_is_the_time_to_ask_for_its_place():
    tasks = [{**TASK, "queue_position": place} for place in (3, 2)]
    service = Service(
        [*tasks, {**TASK, "state": "completed"}], [": heartbeat\n\n" + told("failed")]
    )
    states = list(TaskFollower(service, "t", service.pauses.append).states())
    assert [state.get("queue_position") for state in states[:2]] == [3, 2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "queued"),
        ({"queue_position": 4}, "queued, number 4"),
        ({"state": "running", "stage": "align", "eta_seconds": 7.4}, "align, 7 s left"),
        ({"state": "running"}, "running"),
        ({"state": "cancelling", "stage": "align", "eta_seconds": 7.4}, "align"),
    ],
)
def test_where_a_task_stands_is_said_in_words(changes: dict[str, Any], says: str):
    assert standing({**TASK, **changes}) == says
