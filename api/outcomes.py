"""What came of a request about many files, file by file: each for itself."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel

from api.error_handlers import TABLE, api_error
from api.errors import ApiError, ErrorType
from api.schemas import EXAMPLE_ID, documented
from serving.errors import SpeechError


class FileResult(BaseModel):
    """What came of one file."""

    file_id: uuid.UUID
    """The file."""
    success: bool
    """Whether it was done."""
    message: str
    """What was done, or why not and what to do."""
    error_type: ErrorType | None = None
    """Why it was not done; null: it was."""
    task_id: uuid.UUID | None = None
    """The task that was made or changed."""

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "success": False,
            "message": "Task 7f9c… is working on this file: cancel it or wait for its end.",
            "error_type": "file_busy",
            "task_id": None,
        }
    )


class BulkResult(BaseModel):
    """What came of each file, in the order asked for; each for itself."""

    results: Sequence[FileResult]
    """One for each file."""
    succeeded: int
    """For how many it was done."""
    failed: int
    """For how many it was not."""

    model_config = documented(
        {
            "results": [
                {
                    "file_id": EXAMPLE_ID,
                    "success": True,
                    "message": "Queued anew.",
                    "error_type": None,
                    "task_id": EXAMPLE_ID,
                }
            ],
            "succeeded": 1,
            "failed": 0,
        }
    )

    @classmethod
    def of(cls, results: Sequence[FileResult]) -> Self:
        """These results, counted."""
        done = sum(result.success for result in results)
        return cls(results=results, succeeded=done, failed=len(results) - done)


REFUSALS: tuple[type[Exception], ...] = (ApiError, SpeechError, *TABLE)
"""What one file can be refused with; anything else is a fault of ours and ends the whole."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done with a file."""

    message: str
    task_id: uuid.UUID | None = None


Work = Callable[[uuid.UUID], Awaitable[Done]]


async def attempted(file_id: uuid.UUID, work: Work) -> FileResult:
    """Do it, and say what came of it."""
    try:
        done = await work(file_id)
    except REFUSALS as error:
        refusal = api_error(error)
        return FileResult(
            file_id=file_id,
            success=False,
            message=refusal.detail,
            error_type=refusal.error_type,
        )
    return FileResult(file_id=file_id, success=True, message=done.message, task_id=done.task_id)
