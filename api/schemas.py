"""Answers that more than one feature gives, and how an example is attached to a schema."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field

from api.display import FileDisplay, TaskDisplay
from db.models import Lane, TaskKind, TaskState
from pipelines.advice import Advice, ErrorCategory, advice_on

EXAMPLE_ID = "7f9c3f0e-5d0f-4a3e-9c1b-2f6d0f8f3a11"
EXAMPLE_MOMENT = "2030-01-31T09:30:00Z"


def documented(example: Mapping[str, Any]) -> ConfigDict:
    """Configuration of a schema: read from rows, fields described below them, this example."""
    return ConfigDict(
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [dict(example)]},
    )


def example(model: type[BaseModel]) -> dict[str, Any]:
    """The example of another schema, to be a part of this one's."""
    extra = model.model_config["json_schema_extra"]
    if not isinstance(extra, dict):
        raise TypeError(f"{model.__name__} is not documented")
    found: list[dict[str, Any]] = cast("list[dict[str, Any]]", extra["examples"])
    return found[0]


EXAMPLE_TASK: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "media_file_id": EXAMPLE_ID,
    "parent_id": None,
    "kind": "transcription",
    "state": "running",
    "lane": "interactive",
    "stage": "transcribe",
    "progress": 0.42,
    "eta_seconds": 37.5,
    "queue_position": None,
    "attempt": 1,
    "options": {"language": "auto", "task": "transcribe"},
    "audio_seconds": 1830.0,
    "result": {},
    "error_type": None,
    "error_message": None,
    "error_category": None,
    "retryable": None,
    "suggestions": [],
    "created_at": EXAMPLE_MOMENT,
    "started_at": EXAMPLE_MOMENT,
    "finished_at": None,
    "formatted_duration": "1:35",
    "status_display": "Running",
    "age_category": "today",
}


class TaskOut(TaskDisplay):
    """One run of the pipeline for a file. `progress` is 0..1 and never goes back.

    While it waits, a reading tells its `queue_position` (1 is next) and, as for one that runs, the
    seconds until its end: both are estimates, since users take turns.
    """

    id: uuid.UUID
    """The task's id."""
    media_file_id: uuid.UUID | None
    """The file that it works on; null: none."""
    parent_id: uuid.UUID | None
    """The batch that it belongs to; null: none."""
    kind: TaskKind
    """What it does."""
    lane: Lane
    """In which lane it waits: live goes before interactive before bulk."""
    stage: str | None
    """What it is doing, or did last."""
    progress: float
    """How much is done, 0..1."""
    eta_seconds: float | None
    """Seconds until its end, estimated; null: not known."""
    queue_position: int | None = None
    """Its place among those that wait, from 1; null: it does not wait."""
    attempt: int
    """How many attempts were begun."""
    options: dict[str, Any]
    """What was asked for."""
    audio_seconds: float
    """Seconds of audio that it works on."""
    result: dict[str, Any]
    """What came of it, beyond the file and its transcript; empty until its end."""
    error_type: str | None
    """Why it failed, or its last attempt did (docs/api-errors.md); null: nothing failed."""
    error_message: str | None
    """The same in words."""

    model_config = documented(EXAMPLE_TASK)

    @property
    def _advice(self) -> Advice | None:
        return advice_on(self.error_type) if self.state is TaskState.failed else None

    @computed_field(description="What kind of failure it was; null unless the task failed")
    def error_category(self) -> ErrorCategory | None:
        """What kind of failure it was."""
        return self._advice.category if self._advice else None

    @computed_field(description="Whether a retry can help; null unless the task failed")
    def retryable(self) -> bool | None:
        """Whether a retry can help."""
        return self._advice.retryable if self._advice else None

    @computed_field(description="What the user can do; empty unless the task failed")
    def suggestions(self) -> tuple[str, ...]:
        """What the user can do."""
        return self._advice.suggestions if self._advice else ()


EXAMPLE_FILE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "filename": "interview.m4a",
    "title": None,
    "author": None,
    "description": None,
    "source_url": None,
    "content_type": "audio/mp4",
    "size_bytes": 18_302_111,
    "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "status": "processing",
    "duration": 1830.0,
    "language": None,
    "has_thumbnail": False,
    "error_type": None,
    "error_message": None,
    "created_at": EXAMPLE_MOMENT,
    "updated_at": EXAMPLE_MOMENT,
    "completed_at": None,
    "formatted_duration": "30:30",
    "formatted_file_size": "18.3 MB",
    "formatted_upload_date": "Jan 31, 2030",
    "formatted_file_age": "2 minutes ago",
    "display_status": "Processing",
    "status_badge_class": "status-processing",
}


class FileOut(FileDisplay):
    """A media file. `status` follows from its latest task; `duration` is in seconds."""

    id: uuid.UUID
    """The file's id."""
    filename: str
    """The name it was uploaded with, or was given since."""
    title: str | None
    """What people call it; null: it goes by its file name."""
    author: str | None
    """Who made it; null: not known."""
    description: str | None
    """What it is about; null: nothing was written."""
    source_url: str | None
    """Where it was fetched from; null: it was uploaded."""
    content_type: str
    """Its media type, from its bytes."""
    sha256: str
    """The digest of its bytes, hexadecimal."""
    language: str | None
    """The language that is spoken, as Whisper's code; null: not known yet."""
    has_thumbnail: Annotated[bool, BeforeValidator(bool), Field(validation_alias="thumbnail_key")]
    """Whether there is a picture of it."""
    error_type: str | None
    """Why it failed (docs/api-errors.md); null: it has not."""
    error_message: str | None
    """The same in words."""
    updated_at: datetime
    """When anything of it was last changed."""
    completed_at: datetime | None
    """When its transcript was first there or last renewed; null: there is none."""

    model_config = documented(EXAMPLE_FILE)
