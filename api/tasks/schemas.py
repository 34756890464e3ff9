"""Answers about retries, and about recovery by administrators."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, EXAMPLE_TASK, TaskOut, documented
from db.models import FileStatus, Lane, TaskState


class RetryOut(BaseModel):
    """The new task, and whether it can be expected to end better than the one before."""

    task: TaskOut
    """The new task."""
    previous_error_type: str | None
    """Why the one before failed; null: it did not."""
    retryable: Annotated[
        bool | None,
        Field(description="Whether the last error is one that may pass; null: there was none"),
    ]
    note: Annotated[str, Field(description="What had happened, and whether a retry can help")]

    model_config = documented(
        {
            "task": EXAMPLE_TASK,
            "previous_error_type": "invalid_media",
            "retryable": False,
            "note": "The file could not be decoded: it is damaged, cut off, or not a recording. "
            "A retry alone will not help: the same would happen again.",
        }
    )


class TaskFacts(BaseModel):
    """A task as administrators see it: whose it is and where it stands, not what it is about."""

    id: uuid.UUID
    """The task's id."""
    user_id: uuid.UUID
    """Whose it is."""
    media_file_id: uuid.UUID | None
    """The file that it works on; null: none."""
    state: TaskState
    """Where it stands."""
    lane: Lane
    """In which lane it waits."""
    stage: str | None
    """What it is doing, or did last."""
    attempt: int
    """How many attempts were begun."""
    fence: int
    """Grows at every claim: what a runner writes with an older one is refused."""
    lease_owner: str | None
    """The runner that has it; null: none."""
    lease_expires_at: datetime | None
    """When another runner may claim it."""
    started_at: datetime | None
    """When a runner first took it; null: none has yet."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "user_id": EXAMPLE_ID,
            "media_file_id": EXAMPLE_ID,
            "state": "queued",
            "lane": "interactive",
            "stage": "transcribe",
            "attempt": 0,
            "fence": 2,
            "lease_owner": None,
            "lease_expires_at": None,
            "started_at": EXAMPLE_MOMENT,
        }
    )


EXAMPLE_FINDING = {
    "file_id": EXAMPLE_ID,
    "user_id": EXAMPLE_ID,
    "status": "processing",
    "expected": "failed",
}


class FileFinding(BaseModel):
    """A file's status, and the one that follows from its latest task and its transcript."""

    file_id: uuid.UUID
    """The file's id."""
    user_id: uuid.UUID
    """Whose it is."""
    status: FileStatus
    """The status that it has, or had."""
    expected: FileStatus
    """The status that follows from its latest task and its transcript."""

    model_config = documented({**EXAMPLE_FINDING})


class FixedFile(FileFinding):
    """What a file's status was (`status`), and what it is now (`expected`)."""

    changed: bool
    """Whether the two were different."""

    model_config = documented({**EXAMPLE_FINDING, "changed": True})


class Recovered(BaseModel):
    """What was set right: tasks in their new state, and files whose status was wrong."""

    tasks: Sequence[TaskFacts]
    """Tasks that were set right, in their new state."""
    fixed_files: Sequence[FileFinding] = ()
    """Files whose status was wrong, and no longer is."""
    unfixable_files: Annotated[
        Sequence[FileFinding],
        Field(description="Their bytes were uploaded again since, so they cannot come back"),
    ] = ()

    model_config = documented(
        {"tasks": [], "fixed_files": [EXAMPLE_FINDING], "unfixable_files": []}
    )


class SystemHealth(BaseModel):
    """The queue of the whole installation, and what is wrong in it."""

    task_counts: Mapping[TaskState, int]
    """How many tasks are in each state."""
    file_counts: Mapping[FileStatus, int]
    """How many files are in each status."""
    queued_hours: Annotated[float, Field(description="Hours of audio that wait")]
    oldest_queued_seconds: Annotated[
        float, Field(description="For how long the first of them has been waiting")
    ]
    oldest_running_seconds: Annotated[
        float, Field(description="How long ago the oldest running task was begun")
    ]
    stuck_tasks: Annotated[
        Sequence[TaskFacts],
        Field(description="Their runners have fallen silent; at most 100, longest silent first"),
    ]
    inconsistent_files: Annotated[
        Sequence[FileFinding], Field(description="Files with a wrong status; at most 100")
    ]

    model_config = documented(
        {
            "task_counts": {"queued": 3, "running": 1},
            "file_counts": {"queued": 3, "processing": 1, "completed": 40},
            "queued_hours": 1.5,
            "oldest_queued_seconds": 12.0,
            "oldest_running_seconds": 95.0,
            "stuck_tasks": [],
            "inconsistent_files": [EXAMPLE_FINDING],
        }
    )
