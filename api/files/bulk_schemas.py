"""One action on many files."""

import uuid
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

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
