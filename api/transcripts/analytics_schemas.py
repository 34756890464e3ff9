"""Figures about a conversation; the definitions are in pipelines/analytics.py."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented


class Figure(BaseModel):
    """Part of the figures; its fields are described below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Counts(Figure):
    """A number for each speaker, and their sum."""

    by_speaker: Mapping[str, int]
    """By the speaker's label; `unknown` for segments of nobody."""
    total: int
    """The sum."""


class Durations(Figure):
    """Seconds for each speaker, and their sum."""

    by_speaker: Mapping[str, float]
    """Seconds by the speaker's label; `unknown` for segments of nobody."""
    total: float
    """The sum in seconds."""


class Pace(Figure):
    """Words a minute of talk time."""

    by_speaker: Mapping[str, float | None]
    """By the speaker's label; null: no talk time."""
    overall: float | None
    """All words by all talk time; null: no talk time."""


class Monologue(Figure):
    """The longest turn of one speaker, pauses in it included; in seconds."""

    start: float
    """Where it begins."""
    end: float
    """Where it ends."""
    seconds: float
    """How long it is."""


class Monologues(Figure):
    """The longest turn of each speaker."""

    by_speaker: Mapping[str, Monologue]
    """By the speaker's label."""
    speaker: str | None
    """Label of whose is the longest of all; null: nobody says anything."""


class Latency(Figure):
    """Median silence between a turn and that of another speaker, in seconds.

    Silences of more than 10 s are no answers, and neither is who begins before the end.
    """

    by_speaker: Mapping[str, float | None]
    """By the label of who answers; null: never."""
    overall: float | None
    """Of all answers; null: there is none."""
    answers: int
    """How many there are."""


class SpeakerName(BaseModel):
    """How the figures call a speaker."""

    id: uuid.UUID
    """The speaker's id."""
    label: str
    """What the figures call it."""
    display_name: str | None
    """What people call it now; null: not named."""

    model_config = documented({"id": EXAMPLE_ID, "label": "SPEAKER_00", "display_name": "Ada"})


class AnalyticsOut(BaseModel):
    """Figures about a conversation. A turn is all that one speaker says before another does.

    All but interruptions and overlaps are counted from segments, so they follow edits.
    """

    file_id: uuid.UUID
    """The file."""
    transcript_version: int
    """Of which version of the transcript they are."""
    schema_version: str
    """Version of the definitions."""
    computed_at: datetime
    """When they were computed."""
    speakers: Sequence[SpeakerName]
    """The file's voices with their names of now."""
    duration_seconds: float
    """How long the recording is."""
    word_count: int
    """Words; in scripts without spaces each character is one."""
    words: Counts
    """Words of each speaker."""
    talk_time: Durations
    """How long each speaker's segments last."""
    speaking_pace: Pace
    """Words a minute."""
    turn_taking: Counts
    """Turns: segments of one speaker that follow each other are one."""
    interruptions: Counts | None
    """How often somebody begins while another speaks on for 0.2 s or more, by who begins. By the
    labels of diarization, edits or not; null without diarization."""
    overlap_seconds: float | None
    """How long two or more speak at a time, as diarization heard it; null without diarization."""
    questions: Counts
    """Sentences that end with a question mark: Latin, full-width, Arabic or Greek."""
    longest_monologue: Monologues
    """The longest turns."""
    response_latency: Latency
    """How long answers take."""
    silence_ratio: float | None
    """Share of the recording in which no segment is, 0..1; null: it has no length."""

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "transcript_version": 1,
            "schema_version": "1",
            "computed_at": EXAMPLE_MOMENT,
            "speakers": [{"id": EXAMPLE_ID, "label": "SPEAKER_00", "display_name": "Ada"}],
            "duration_seconds": 60.0,
            "word_count": 80,
            "words": {"by_speaker": {"SPEAKER_00": 80}, "total": 80},
            "talk_time": {"by_speaker": {"SPEAKER_00": 40.0}, "total": 40.0},
            "speaking_pace": {"by_speaker": {"SPEAKER_00": 120.0}, "overall": 120.0},
            "turn_taking": {"by_speaker": {"SPEAKER_00": 1}, "total": 1},
            "interruptions": {"by_speaker": {"SPEAKER_00": 0}, "total": 0},
            "overlap_seconds": 0.0,
            "questions": {"by_speaker": {"SPEAKER_00": 2}, "total": 2},
            "longest_monologue": {
                "by_speaker": {"SPEAKER_00": {"start": 5.0, "end": 55.0, "seconds": 50.0}},
                "speaker": "SPEAKER_00",
            },
            "response_latency": {
                "by_speaker": {"SPEAKER_00": None},
                "overall": None,
                "answers": 0,
            },
            "silence_ratio": 0.33,
        }
    )
