"""Answers about how a user's files are doing, and what can be done with them."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from api.files.schemas import EXAMPLE_FILE, FileOut
from api.schemas import EXAMPLE_ID, TaskOut, documented
from db.models import FileStatus

EXAMPLE_PROBLEM = {
    "file": {**EXAMPLE_FILE, "status": "failed", "error_type": "invalid_media"},
    "task": {
        "id": EXAMPLE_ID,
        "state": "failed",
        "error_type": "invalid_media",
        "error_category": "format_issue",
        "retryable": False,
    },
}


class FileWithTask(BaseModel):
    """A file and its latest task; of a failed one that says why, and what can be done."""

    file: FileOut
    task: TaskOut | None

    model_config = documented(EXAMPLE_PROBLEM)


class FileState(FileWithTask):
    """The same, with what its owner can do now."""

    is_stuck: Annotated[
        bool, Field(description="Its runner has fallen silent; another one takes it by itself")
    ]
    can_cancel: bool
    can_retry: bool
    can_reprocess: bool
    can_delete: bool

    model_config = documented(
        {
            **EXAMPLE_PROBLEM,
            "is_stuck": False,
            "can_cancel": False,
            "can_retry": True,
            "can_reprocess": True,
            "can_delete": True,
        }
    )


class FilesState(BaseModel):
    """How many of one's files are in each status, those that failed, and the latest ones."""

    counts: Mapping[FileStatus, int]
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
