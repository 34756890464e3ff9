"""Answers about clips in which a person speaks."""

import uuid
from datetime import datetime
from typing import Self

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, EXAMPLE_TASK, TaskOut, documented
from db.models import Enrolment

EXAMPLE_ENROLMENT = {
    "id": EXAMPLE_ID,
    "profile_id": EXAMPLE_ID,
    "filename": "ada.wav",
    "size_bytes": 640_044,
    "clean_seconds": 18.5,
    "has_voiceprint": True,
    "created_at": EXAMPLE_MOMENT,
}


class EnrolmentOut(BaseModel):
    """A clip in which a person speaks alone."""

    id: uuid.UUID
    """The clip's id."""
    profile_id: uuid.UUID
    """Whose voice it is."""
    filename: str
    """The name it was sent with."""
    size_bytes: int
    """Its size."""
    clean_seconds: float
    """Seconds of speech in it; 0 until the voiceprint is computed."""
    has_voiceprint: bool
    """Whether its voiceprint is computed, and counts for the person's."""
    created_at: datetime
    """When it was taken in."""

    @classmethod
    def of(cls, row: Enrolment) -> Self:
        """The answer about this row."""
        return cls(
            id=row.id,
            profile_id=row.profile_id,
            filename=row.filename,
            size_bytes=row.size_bytes,
            clean_seconds=row.clean_seconds,
            has_voiceprint=row.embedding is not None,
            created_at=row.created_at,
        )

    model_config = documented(EXAMPLE_ENROLMENT)


class EnrolmentAccepted(BaseModel):
    """A clip that was taken in, and the task that computes its voiceprint."""

    enrolment: EnrolmentOut
    """The clip."""
    task: TaskOut
    """Its task; where it fails, the clip stays without effect: delete it, and send another one."""

    model_config = documented(
        {
            "enrolment": {**EXAMPLE_ENROLMENT, "clean_seconds": 0.0, "has_voiceprint": False},
            "task": {**EXAMPLE_TASK, "kind": "enrolment", "media_file_id": None},
        }
    )
