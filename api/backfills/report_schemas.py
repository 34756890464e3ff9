"""Answers about what backfills came to, and file by file."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel

from api.backfills.schemas import EXAMPLE, BackfillOut
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from db.models import ItemState
from pipelines.backfills.reporting import Report


class Reason(BaseModel):
    """Why files failed or were skipped."""

    state: ItemState
    """`failed` or `skipped`."""
    error_type: str
    """Why."""
    files: int
    """How many."""

    model_config = documented({"state": "failed", "error_type": "invalid_media", "files": 1})


class ReportOut(BaseModel):
    """What a backfill came to so far."""

    backfill: BackfillOut
    """How far it is."""
    seconds: float
    """From the first file's begin to the last one's end, pauses included."""
    rtfx: float | None
    """Audio seconds done per second of that; null: nothing is done."""
    model_rtfx: float | None
    """Audio seconds done per second that models were busy; null: nothing was measured."""
    reasons: Sequence[Reason]
    """Of files that failed or were skipped, the most first."""

    model_config = documented(
        {
            "backfill": EXAMPLE,
            "seconds": 1845.0,
            "rtfx": 40.0,
            "model_rtfx": 41.0,
            "reasons": [{"state": "failed", "error_type": "invalid_media", "files": 1}],
        }
    )

    @classmethod
    def of(cls, found: Report) -> Self:
        """From what was counted."""
        reasons = [
            Reason(state=ItemState(state), error_type=error_type, files=files)
            for (state, error_type), files in found.errors.items()
        ]
        return cls(
            backfill=BackfillOut.of(found.standing),
            seconds=found.seconds,
            rtfx=found.rtfx,
            model_rtfx=found.model_rtfx,
            reasons=reasons,
        )


class ItemOut(BaseModel):
    """One file of a backfill."""

    number: int
    """Its place, from 0."""
    media_file_id: uuid.UUID | None
    """The file; null: it is not taken in yet, or was deleted."""
    source: str | None
    """Of an import: where the recording lies."""
    state: ItemState
    """What became of it."""
    task_id: uuid.UUID | None
    """Its task; null: it was not begun, or the task is gone."""
    attempts: int
    """How often it was begun."""
    audio_seconds: float
    """Seconds of audio, as far as they are known."""
    model_seconds: float
    """How long models were busy with it."""
    error_type: str | None
    """Why it failed or was skipped."""
    error_message: str | None
    """The same in words."""
    begun_at: datetime | None
    """When it was begun."""
    ended_at: datetime | None
    """When it ended."""

    model_config = documented(
        {
            "number": 0,
            "media_file_id": EXAMPLE_ID,
            "source": None,
            "state": "done",
            "task_id": EXAMPLE_ID,
            "attempts": 1,
            "audio_seconds": 1830.0,
            "model_seconds": 45.1,
            "error_type": None,
            "error_message": None,
            "begun_at": EXAMPLE_MOMENT,
            "ended_at": EXAMPLE_MOMENT,
        }
    )
