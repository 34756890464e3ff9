"""Answers of /api/admin/stats: the installation in figures."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented, example
from db.models import FileStatus, TaskKind, TaskState


class UserStats(BaseModel):
    """Accounts, counted."""

    total: int
    """All of them."""
    active: int
    """Those that may sign in."""
    inactive: int
    """Those that may not."""
    admins: int
    """Administrators, active or not."""
    new: int
    """Made in the last seven days."""

    model_config = documented({"total": 12, "active": 11, "inactive": 1, "admins": 2, "new": 1})


class Amount(BaseModel):
    """How many there are."""

    value: int
    """The number."""
    estimated: bool
    """Whether it is PostgreSQL's estimate: large tables are not counted for this."""

    model_config = documented({"value": 10_000_000, "estimated": True})


EXAMPLE_AMOUNT = {"value": 840, "estimated": False}


class FileStats(BaseModel):
    """Files and transcripts of all users."""

    total: int
    """All files."""
    new: int
    """Those that came in during the last seven days."""
    total_duration: float
    """Seconds of audio of all files that are prepared."""
    total_size_bytes: int
    """Bytes of all files as they were brought in."""
    by_status: Mapping[FileStatus, int]
    """Files in each status."""
    segments: Amount
    """Lines of all transcripts."""
    speakers: Amount
    """Speakers of all files; who speaks in two files counts twice."""
    average_speakers: float | None
    """Speakers to a transcript; null: there is none."""

    model_config = documented(
        {
            "total": 40,
            "new": 3,
            "total_duration": 71_000.5,
            "total_size_bytes": 1_300_000_000,
            "by_status": {"completed": 39, "failed": 1},
            "segments": EXAMPLE_AMOUNT,
            "speakers": EXAMPLE_AMOUNT,
            "average_speakers": 2.1,
        }
    )


class RecentTask(BaseModel):
    """A task: whose it is and how it went, not what it is about."""

    id: uuid.UUID
    """The task's id."""
    user_id: uuid.UUID
    """Whose it is."""
    media_file_id: uuid.UUID | None
    """The file that it works on; null: none."""
    kind: TaskKind
    """What it does."""
    state: TaskState
    """Where it stands."""
    attempt: int
    """How many attempts were begun."""
    error_type: str | None
    """Why it failed, or its last attempt did; null: nothing failed."""
    created_at: datetime
    """When it was asked for."""
    started_at: datetime | None
    """When a runner first took it."""
    finished_at: datetime | None
    """When it ended."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "user_id": EXAMPLE_ID,
            "media_file_id": EXAMPLE_ID,
            "kind": "transcription",
            "state": "completed",
            "attempt": 1,
            "error_type": None,
            "created_at": EXAMPLE_MOMENT,
            "started_at": EXAMPLE_MOMENT,
            "finished_at": EXAMPLE_MOMENT,
        }
    )


class TaskStats(BaseModel):
    """Tasks of all users."""

    total: int
    """All tasks of files that are there."""
    by_state: Mapping[TaskState, int]
    """Tasks in each state."""
    success_rate: float | None
    """Completed out of completed and failed, 0..1; null: none has ended."""
    average_seconds: float | None
    """From the first attempt's start to the end, of the latest 1000 completed; null: none."""
    recent: Sequence[RecentTask]
    """The ten newest."""

    model_config = documented(
        {
            "total": 41,
            "by_state": {"completed": 39, "failed": 2},
            "success_rate": 0.95,
            "average_seconds": 312.4,
            "recent": [],
        }
    )


class DiskFacts(BaseModel):
    """The disk that a path is on."""

    path: str
    """The data directory, or what of its path there is on this node."""
    total_bytes: int
    """Its size."""
    free_bytes: int
    """What is left of it."""

    model_config = documented(
        {"path": "/srv/rayscribe", "total_bytes": 10**12, "free_bytes": 10**11}
    )


class SystemFacts(BaseModel):
    """The node on which this replica of the API runs; a cluster has others."""

    version: str
    """Of rayscribe."""
    uptime_seconds: float
    """For how long this replica has been running."""
    cpus: int
    """Processors of the node."""
    load: tuple[float, float, float]
    """Processes that run or wait for a processor: over 1, 5 and 15 minutes."""
    memory_total_bytes: int
    """Memory of the node."""
    memory_available_bytes: int
    """What of it can be had without swapping."""
    disk: DiskFacts
    """Where the data directory lies."""

    model_config = documented(
        {
            "version": "0.1.0",
            "uptime_seconds": 86_400.5,
            "cpus": 16,
            "load": [1.2, 1.4, 1.1],
            "memory_total_bytes": 64 * 2**30,
            "memory_available_bytes": 40 * 2**30,
            "disk": {"path": "/srv/rayscribe", "total_bytes": 10**12, "free_bytes": 10**11},
        }
    )


class ModelInUse(BaseModel):
    """A speech deployment and what it runs."""

    status: str
    """`up` or `down`."""
    model: str | None
    """The name of its model; null: it has none to choose, or does not answer."""

    model_config = documented({"status": "up", "model": "base"})


class Statistics(BaseModel):
    """The installation in figures."""

    users: UserStats
    """Accounts."""
    files: FileStats
    """Files and transcripts."""
    tasks: TaskStats
    """Tasks."""
    models: Mapping[str, ModelInUse]
    """By speech deployment; empty while the speech service does not answer."""
    system: SystemFacts
    """This replica's node."""

    model_config = documented(
        {
            "users": example(UserStats),
            "files": example(FileStats),
            "tasks": example(TaskStats),
            "models": {"transcriber": example(ModelInUse)},
            "system": example(SystemFacts),
        }
    )
