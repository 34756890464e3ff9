"""A summary, bottom line up front: what readers get."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Priority(StrEnum):
    """How urgent a task is."""

    high = "high"
    medium = "medium"
    low = "low"


class Sentiment(StrEnum):
    """The tone of a conversation on the whole."""

    positive = "positive"
    neutral = "neutral"
    negative = "negative"
    mixed = "mixed"


class DetectedType(StrEnum):
    """What kind of recording it is, as the model sees it."""

    meeting = "meeting"
    interview = "interview"
    podcast = "podcast"
    documentary = "documentary"
    educational = "educational"
    general = "general"


class Part(BaseModel):
    """A part of a summary; moments are seconds of the recording, timestamps the same as text."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MajorTopic(Part):
    """What was talked about."""

    topic: str
    summary: str
    key_points: tuple[str, ...] = ()
    """Each with the time at which it was said, where that was found: `… [12:34]`."""
    timestamp_range: str
    """`[MM:SS] - [MM:SS]`, computed."""
    start: float
    end: float
    participants: tuple[str, ...] = ()
    """Who says these points, as far as they were found in the transcript."""


class ActionItem(Part):
    """What somebody is to do."""

    item: str
    owner: str | None = None
    due_date: str | None = None
    """As it was said: "by Friday noon"."""
    priority: Priority = Priority.medium
    context: str = ""
    mentioned_timestamp: str
    start: float


class KeyDecision(Part):
    """What was decided."""

    decision: str
    context: str = ""
    impact: str = ""
    stakeholders: tuple[str, ...] = ()
    timestamp: str
    start: float


class SpeakerAnalysis(Part):
    """What a speaker contributed; talk time is measured, not guessed."""

    speaker: str
    role: str = ""
    """Empty where the conversation does not show it."""
    talk_time_percentage: float
    words: int
    turns: int
    key_contributions: tuple[str, ...] = ()


class Metadata(Part):
    """How a summary was made."""

    provider: str
    model: str
    language: str
    prompt_id: str
    prompt_name: str
    context_tokens: int
    prompt_tokens: int
    completion_tokens: int
    calls: int
    transcript_characters: int
    sections_processed: int
    merge_rounds: int
    """How often notes of sections were merged until all fitted into one call."""
    processing_method: str
    processing_time_ms: int


class Bluf(Part):
    """A summary, whole."""

    bluf: str
    """The bottom line: what matters most, in a sentence or a few."""
    brief_summary: str
    major_topics: tuple[MajorTopic, ...] = ()
    action_items: tuple[ActionItem, ...] = ()
    key_decisions: tuple[KeyDecision, ...] = ()
    speakers_analysis: tuple[SpeakerAnalysis, ...] = ()
    follow_up_items: tuple[str, ...] = ()
    overall_sentiment: Sentiment
    content_type_detected: DetectedType
    metadata: Metadata

    @property
    def searchable(self) -> str:
        """All that it says, one statement a line."""
        said = self.model_dump(mode="json", exclude={"metadata"})
        return "\n".join(dict.fromkeys(_texts(said)))


SILENT = frozenset(
    {
        "timestamp_range",
        "mentioned_timestamp",
        "timestamp",
        "priority",
        "overall_sentiment",
        "content_type_detected",
    }
)
"""Fields that say nothing to search for."""


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str() if value:
            yield value
        case dict():
            for name, inner in value.items():
                if name not in SILENT:
                    yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)
