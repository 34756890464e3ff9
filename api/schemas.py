"""Answers that more than one feature gives, and how an example is attached to a schema."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from db.models import Lane, TaskKind, TaskState
from pipelines.advice import Advice, ErrorCategory, advice_on

EXAMPLE_ID = "7f9c3f0e-5d0f-4a3e-9c1b-2f6d0f8f3a11"
EXAMPLE_MOMENT = "2030-01-31T09:30:00Z"


def documented(example: Mapping[str, Any]) -> ConfigDict:
    """Configuration of an answer's schema: read from rows, shown with this example."""
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [dict(example)]})


class TaskOut(BaseModel):
    """One run of the pipeline for a file. `progress` is 0..1 and never goes back.

    While it waits, a reading tells its `queue_position` (1 is next) and, as for one that runs, the
    seconds until its end: both are estimates, since users take turns.
    """

    id: uuid.UUID
    media_file_id: uuid.UUID | None
    kind: TaskKind
    state: TaskState
    lane: Lane
    stage: str | None
    progress: float
    eta_seconds: float | None
    queue_position: int | None = None
    attempt: int
    options: dict[str, Any]
    audio_seconds: float
    error_type: str | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "media_file_id": EXAMPLE_ID,
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
            "error_type": None,
            "error_message": None,
            "error_category": None,
            "retryable": None,
            "suggestions": [],
            "created_at": EXAMPLE_MOMENT,
            "started_at": EXAMPLE_MOMENT,
            "finished_at": None,
        }
    )

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
