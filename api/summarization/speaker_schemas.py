"""Answers about whom a language model takes speakers for."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from cluster.settings import LlmProvider
from db.models import SpeakerPrediction

EXAMPLE_EVIDENCE: dict[str, Any] = {
    "kind": "self_introduction",
    "quote": "Hello, this is Ada speaking.",
    "start": 3.2,
}
EXAMPLE_PREDICTION: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "name": "Ada",
    "confidence": 0.9,
    "reasoning": "She says her name at the beginning.",
    "evidence": [EXAMPLE_EVIDENCE],
    "is_stale": False,
    "transcript_version": 3,
    "provider": "local",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "created_at": EXAMPLE_MOMENT,
}


class EvidenceOut(BaseModel):
    """Something that was said which shows who speaks."""

    kind: str
    """What it shows it by: an introduction, an address, a role."""
    quote: str
    """What was said."""
    start: float | None
    """When, in seconds; null: that was not found."""

    model_config = documented(EXAMPLE_EVIDENCE)


class PredictionOut(BaseModel):
    """Whom a language model takes a speaker for: a suggestion, nothing more."""

    id: uuid.UUID
    """The prediction's id."""
    name: str
    """What they may be called."""
    confidence: float
    """How sure the model is, 0..1."""
    reasoning: str
    """Why, in its words."""
    evidence: Sequence[EvidenceOut]
    """What was said that shows it."""
    is_stale: bool
    """Whether the transcript was changed since."""
    transcript_version: int
    """Of the transcript that was read."""
    provider: LlmProvider
    """Whose language model it is."""
    model: str
    """Which."""
    created_at: datetime
    """When it was made."""

    model_config = documented(EXAMPLE_PREDICTION)

    @classmethod
    def of(cls, row: SpeakerPrediction, transcript_version: int | None) -> Self:
        """The answer about this row, whose transcript is now of this version."""
        told = {name: getattr(row, name) for name in EXAMPLE_PREDICTION if name != "is_stale"}
        return cls(**told, is_stale=row.transcript_version != transcript_version)


class PredictedSpeaker(BaseModel):
    """A speaker, and who it may be by what is said."""

    speaker_id: uuid.UUID
    """The speaker's id."""
    label: str
    """What the transcript calls it."""
    display_name: str | None
    """What people call it; null: not named."""
    verified: bool
    """Whether a person said who it is."""
    predictions: Sequence[PredictionOut]
    """The surest first."""

    model_config = documented(
        {
            "speaker_id": EXAMPLE_ID,
            "label": "SPEAKER_00",
            "display_name": None,
            "verified": False,
            "predictions": [EXAMPLE_PREDICTION],
        }
    )


class SpeakerPredictions(BaseModel):
    """What is predicted of a file's speakers."""

    file_id: uuid.UUID
    """The file's id."""
    speakers: Sequence[PredictedSpeaker]
    """Those of whom something is, by label."""

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "speakers": [
                {
                    "speaker_id": EXAMPLE_ID,
                    "label": "SPEAKER_00",
                    "display_name": None,
                    "verified": False,
                    "predictions": [EXAMPLE_PREDICTION],
                }
            ],
        }
    )
