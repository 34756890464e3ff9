"""Answers about how a user's files are doing, and what can be done with them."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from api.files.bulk_schemas import FileAction
from api.schemas import EXAMPLE_FILE, EXAMPLE_TASK, FileOut, TaskOut, documented
from db.models import FileStatus

EXAMPLE_PROBLEM = {
    "file": {**EXAMPLE_FILE, "status": "failed", "error_type": "invalid_media"},
    "task": {
        **EXAMPLE_TASK,
        "state": "failed",
        "error_type": "invalid_media",
        "error_category": "format_issue",
        "retryable": False,
    },
}


class FileWithTask(BaseModel):
    """A file and its latest task; of a failed one that says why, and what can be done."""

    file: FileOut
    """The file."""
    task: TaskOut | None
    """Its latest task; null: it never had one."""

    model_config = documented(EXAMPLE_PROBLEM)


class FileState(FileWithTask):
    """The same, with what its owner can do now."""

    is_stuck: Annotated[
        bool, Field(description="Its runner has fallen silent; another one takes it by itself")
    ]
    attempts: int
    """How many attempts its latest task has begun."""
    max_attempts: int
    """After so many of them a task has failed."""
    last_error_type: str | None
    """Why an attempt failed last, also where a later one succeeded; null: none ever did."""
    last_error_message: str | None
    """The same in words."""
    actions_available: Sequence[FileAction]
    """What can be done with it now."""
    recommendations: Sequence[str]
    """What to do about it, in sentences; empty: nothing."""
    can_cancel: bool
    """Whether its task can be cancelled."""
    can_retry: bool
    """Whether it came to nothing and can be tried again."""
    can_reprocess: bool
    """Whether it can be computed anew."""
    can_delete: bool
    """Whether it can be deleted at once; else cancel its task first."""

    model_config = documented(
        {
            **EXAMPLE_PROBLEM,
            "is_stuck": False,
            "attempts": 1,
            "max_attempts": 3,
            "last_error_type": "invalid_media",
            "last_error_message": "The file could not be decoded.",
            "actions_available": ["delete", "retry", "reprocess"],
            "recommendations": ["Convert it to FLAC or MP3, and upload that."],
            "can_cancel": False,
            "can_retry": True,
            "can_reprocess": True,
            "can_delete": True,
        }
    )


class FilesState(BaseModel):
    """How many of one's files are in each status, those that failed, and the latest ones."""

    counts: Mapping[FileStatus, int]
    """How many files are in each status."""
    problem_files: Annotated[
        Sequence[FileWithTask], Field(description="Failed ones, newest first; at most 20")
    ]
    stuck_tasks: Annotated[
        Sequence[TaskOut],
        Field(description="Their runners have fallen silent; others take them by themselves"),
    ]
    recent_files: Annotated[Sequence[FileOut], Field(description="At most 5, newest first")]

    model_config = documented(
        {
            "counts": {"completed": 12, "failed": 1},
            "problem_files": [EXAMPLE_PROBLEM],
            "stuck_tasks": [],
            "recent_files": [EXAMPLE_FILE],
        }
    )
