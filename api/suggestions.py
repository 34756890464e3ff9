"""Who a voice may be, as every route that suggests people tells it."""

import uuid
from typing import Any, Self

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, documented
from pipelines.speakers.calibration import Level
from pipelines.speakers.suggestions import Source, Suggestion

EXAMPLE_SUGGESTION: dict[str, Any] = {
    "profile_id": EXAMPLE_ID,
    "speaker_id": EXAMPLE_ID,
    "name": "Ada Example",
    "similarity": 0.87,
    "level": "high",
    "source": "voice",
    "reason": "Very similar to Ada Example in board.m4a (0.87); 2 matches in all",
    "sample_file_id": EXAMPLE_ID,
    "matches": 2,
    "confidence": None,
}


class SuggestionOut(BaseModel):
    """Somebody who a voice may be."""

    profile_id: uuid.UUID | None
    """The person's profile; null: a name that was given to a voice without a profile."""
    speaker_id: uuid.UUID | None
    """The voice of another file that it sounds most like; null: the profile's voiceprint, or none
    sounds alike."""
    name: str
    """What the person is called."""
    similarity: float | None
    """Cosine of the best match, -1..1; null: nothing sounds alike."""
    level: Level | None
    """What that means for the model of the voiceprints; null: nothing sounds alike."""
    source: Source
    """Whether the best match is the profile's voiceprint or a voice of a file; `llm`: a language
    model takes it from what is said, and nothing that sounds alike."""
    reason: str
    """Why, for people."""
    sample_file_id: uuid.UUID | None
    """A file in which to hear the other voice; null: only the voiceprint matches."""
    matches: int
    """How many voices and voiceprints of this person it sounds like."""
    confidence: float | None
    """How sure a language model is of it, from what is said, 0..1; null: it says nothing of
    this."""

    @classmethod
    def of(cls, found: Suggestion) -> Self:
        """The answer about this suggestion."""
        return cls.model_validate(found)

    model_config = documented(EXAMPLE_SUGGESTION)
