"""What a summary says, as it is answered; moments are seconds of the recording."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, documented
from pipelines.language.bluf import DetectedType, Priority, Sentiment

EXAMPLE_TOPIC: dict[str, Any] = {
    "topic": "Launch date",
    "summary": "The launch moves by two weeks, since the last tests are late.",
    "key_points": ["Tests end on the 12th [01:05]", "Marketing is told today [02:30]"],
    "timestamp_range": "[01:00] - [04:10]",
    "start": 60.0,
    "end": 250.0,
    "participants": ["Ada", "SPEAKER_01"],
}
EXAMPLE_ACTION: dict[str, Any] = {
    "item": "Tell marketing about the new date",
    "owner": "Ada",
    "due_date": "today",
    "priority": "high",
    "context": "The campaign starts on Monday.",
    "mentioned_timestamp": "[02:30]",
    "start": 150.0,
}
EXAMPLE_DECISION: dict[str, Any] = {
    "decision": "The launch moves by two weeks",
    "context": "The last tests are late.",
    "impact": "The campaign moves too.",
    "stakeholders": ["Ada"],
    "timestamp": "[01:40]",
    "start": 100.0,
}
EXAMPLE_SPEAKER: dict[str, Any] = {
    "speaker": "Ada",
    "role": "leads the meeting",
    "talk_time_percentage": 61.5,
    "words": 820,
    "turns": 24,
    "key_contributions": ["Proposed the new date"],
}
EXAMPLE_METADATA: dict[str, Any] = {
    "provider": "local",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "language": "en",
    "prompt_id": EXAMPLE_ID,
    "prompt_name": "Meeting",
    "context_tokens": 32768,
    "prompt_tokens": 9120,
    "completion_tokens": 1430,
    "calls": 1,
    "transcript_characters": 30100,
    "sections_processed": 1,
    "merge_rounds": 0,
    "processing_method": "single",
    "processing_time_ms": 8420,
}
EXAMPLE_CONTENT: dict[str, Any] = {
    "bluf": "The launch moves by two weeks; Ada tells marketing today.",
    "brief_summary": "The team looked at the tests, which are late, and chose a new date.",
    "major_topics": [EXAMPLE_TOPIC],
    "action_items": [EXAMPLE_ACTION],
    "key_decisions": [EXAMPLE_DECISION],
    "speakers_analysis": [EXAMPLE_SPEAKER],
    "follow_up_items": ["Whether the beta is extended"],
    "overall_sentiment": "neutral",
    "content_type_detected": "meeting",
    "metadata": EXAMPLE_METADATA,
}
EXAMPLE_POINT: dict[str, Any] = {"text": "Tests end on the 12th", "start": 65.0}
EXAMPLE_NOTED: dict[str, Any] = {
    "title": "Launch date",
    "summary": "The launch moves.",
    "points": [EXAMPLE_POINT],
    "start": 60.0,
    "end": 250.0,
    "participants": ["Ada"],
}
EXAMPLE_CONTRIBUTION: dict[str, Any] = {
    "speaker": "Ada",
    "contribution": "Proposed the new date",
}
EXAMPLE_SECTION: dict[str, Any] = {
    "number": 1,
    "start": 0.0,
    "end": 900.0,
    "summary": "The team looks at the tests and chooses a new date.",
    "topics": [EXAMPLE_NOTED],
    "action_items": [EXAMPLE_ACTION],
    "decisions": [EXAMPLE_DECISION],
    "contributions": [EXAMPLE_CONTRIBUTION],
    "follow_ups": ["Whether the beta is extended"],
}


class SummaryTopic(BaseModel):
    """What was talked about."""

    topic: str
    """What it is."""
    summary: str
    """What was said about it."""
    key_points: Sequence[str]
    """What matters of it, each with its time where that was found."""
    timestamp_range: str
    """From when until when, as text."""
    start: float
    """The same in seconds: its beginning."""
    end: float
    """And its end."""
    participants: Sequence[str]
    """Who said these points, as far as they were found in the transcript."""

    model_config = documented(EXAMPLE_TOPIC)


class SummaryActionItem(BaseModel):
    """What somebody is to do."""

    item: str
    """What is to be done."""
    owner: str | None
    """By whom; null: nobody was named."""
    due_date: str | None
    """Until when, as it was said; null: it was not."""
    priority: Priority
    """How urgent it is."""
    context: str
    """Why, or what it hangs on; may be empty."""
    mentioned_timestamp: str
    """When it was said, as text."""
    start: float
    """The same in seconds."""

    model_config = documented(EXAMPLE_ACTION)


class SummaryDecision(BaseModel):
    """What was decided."""

    decision: str
    """What."""
    context: str
    """Why; may be empty."""
    impact: str
    """What follows from it; may be empty."""
    stakeholders: Sequence[str]
    """Whom it is about."""
    timestamp: str
    """When it was decided, as text."""
    start: float
    """The same in seconds."""

    model_config = documented(EXAMPLE_DECISION)


class SummarySpeaker(BaseModel):
    """What a speaker contributed; talk time is measured, not guessed."""

    speaker: str
    """Whom the transcript called so when it was read."""
    role: str
    """What they do in it; empty: the conversation does not show it."""
    talk_time_percentage: float
    """Of the time in which anybody speaks."""
    words: int
    """How many they say."""
    turns: int
    """How often they speak."""
    key_contributions: Sequence[str]
    """What matters of what they say."""

    model_config = documented(EXAMPLE_SPEAKER)


class SummaryMetadata(BaseModel):
    """How a summary was made."""

    provider: str
    """Whose language model it was."""
    model: str
    """Which."""
    language: str
    """In which it is written, as a code."""
    prompt_id: str
    """The prompt's id; it may be gone."""
    prompt_name: str
    """What the prompt was called."""
    context_tokens: int
    """What the model could take at a time."""
    prompt_tokens: int
    """What it read."""
    completion_tokens: int
    """What it wrote."""
    calls: int
    """How often it was asked."""
    transcript_characters: int
    """How long the transcript was."""
    sections_processed: int
    """In how many sections it was read."""
    merge_rounds: int
    """How often their notes were merged until they fitted into one call."""
    processing_method: str
    """`single`: in one call; `sections`: section by section."""
    processing_time_ms: int
    """How long it took, in milliseconds."""

    model_config = documented(EXAMPLE_METADATA)


class SummaryContent(BaseModel):
    """A summary, bottom line up front."""

    bluf: str
    """The bottom line: what matters most, in a sentence or a few."""
    brief_summary: str
    """The whole in short."""
    major_topics: Sequence[SummaryTopic]
    """What was talked about."""
    action_items: Sequence[SummaryActionItem]
    """What is to be done."""
    key_decisions: Sequence[SummaryDecision]
    """What was decided."""
    speakers_analysis: Sequence[SummarySpeaker]
    """Who spoke."""
    follow_up_items: Sequence[str]
    """What stayed open."""
    overall_sentiment: Sentiment
    """The tone on the whole."""
    content_type_detected: DetectedType
    """What kind of recording the model takes it for."""
    metadata: SummaryMetadata
    """How it was made."""

    model_config = documented(EXAMPLE_CONTENT)


class NotedPoint(BaseModel):
    """Something worth keeping."""

    text: str
    """What."""
    start: float | None
    """When it was said, in seconds; null: that was not found."""

    model_config = documented(EXAMPLE_POINT)


class SectionTopic(BaseModel):
    """A topic of one section."""

    title: str
    """What it is."""
    summary: str
    """What was said about it; may be empty."""
    points: Sequence[NotedPoint]
    """What matters of it."""
    start: float
    """Where it begins, in seconds."""
    end: float
    """Where it ends."""
    participants: Sequence[str]
    """Who said these points."""

    model_config = documented(EXAMPLE_NOTED)


class SectionContribution(BaseModel):
    """What a speaker contributed to a section."""

    speaker: str
    """Who."""
    contribution: str
    """What."""

    model_config = documented(EXAMPLE_CONTRIBUTION)


class SummarySection(BaseModel):
    """What was noted of one section of the transcript."""

    number: int
    """From 1, in order of time."""
    start: float
    """Where it begins, in seconds."""
    end: float
    """Where it ends."""
    summary: str
    """What it is about."""
    topics: Sequence[SectionTopic]
    """What was talked about."""
    action_items: Sequence[SummaryActionItem]
    """What is to be done."""
    decisions: Sequence[SummaryDecision]
    """What was decided."""
    contributions: Sequence[SectionContribution]
    """Who said what."""
    follow_ups: Sequence[str]
    """What stayed open."""

    model_config = documented(EXAMPLE_SECTION)
