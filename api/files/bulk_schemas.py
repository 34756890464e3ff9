"""One action on many files, and what came of it for each."""

import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.errors import ErrorType
from api.files.upload_schemas import ReprocessRequest
from api.schemas import EXAMPLE_ID, documented

MAX_FILES = 100


class FileAction(StrEnum):
    """What an owner can do with a file."""

    delete = "delete"
    retry = "retry"
    cancel = "cancel"
    recover = "recover"
    reprocess = "reprocess"
    summarize = "summarize"


class BulkRequest(ReprocessRequest):
    """An action on files; what is beside it is for `reprocess` only, as in its own route."""

    file_ids: Annotated[
        list[uuid.UUID],
        Field(min_length=1, max_length=MAX_FILES, description="Named twice, it is done once"),
    ]
    action: FileAction
    """What is done with each of them."""

    model_config = ConfigDict(
        **{
            **documented({"file_ids": [EXAMPLE_ID], "action": "reprocess", "max_speakers": 4}),
            "extra": "forbid",
        }
    )

    @model_validator(mode="after")
    def options_fit(self) -> Self:
        """Refuse options that would change nothing."""
        options = self.model_fields_set - {"file_ids", "action"}
        if options and self.action is not FileAction.reprocess:
            raise ValueError(f"{', '.join(sorted(options))}: only for the action reprocess")
        return self

    def changes(self) -> dict[str, Any]:
        """The options that were sent.

        Raises:
            LanguageUnsupported: Whisper does not know the language.
        """
        self.require_known_language()
        return self.model_dump(exclude_unset=True, exclude={"stages", "file_ids", "action"})


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
