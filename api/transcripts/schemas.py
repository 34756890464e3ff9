"""Answers about transcripts."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, documented

EXAMPLE_SPEAKER: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "label": "SPEAKER_00",
    "display_name": "Ada",
    "speech_seconds": 12.5,
}
EXAMPLE_SEGMENT: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "index": 0,
    "start": 0.5,
    "end": 0.9,
    "text": "Hello.",
    "speaker": "SPEAKER_00",
    "doubt": None,
    "edited": False,
    "avg_logprob": -0.2,
    "no_speech_prob": 0.01,
    "compression_ratio": 1.1,
    "temperature": 0.0,
    "words": [
        {
            "start": 0.5,
            "end": 0.9,
            "word": "Hello.",
            "probability": 0.97,
            "speaker": "SPEAKER_00",
        }
    ],
}
EXAMPLE_TURN = {"start": 0.4, "end": 1.0, "speaker": "SPEAKER_00"}


class WordOut(BaseModel):
    """One word; times in seconds from the start of the recording."""

    start: float
    """Where it begins."""
    end: float
    """Where it ends."""
    word: str
    """The word with its punctuation."""
    probability: float
    """How sure the model is, 0..1; 1 for words that a person wrote."""
    speaker: str | None
    """Label of who says it; null: not known."""

    model_config = documented(EXAMPLE_SEGMENT["words"][0])


class SegmentOut(BaseModel):
    """A line of the transcript; times in seconds from the start of the recording."""

    id: uuid.UUID
    """The segment's id."""
    index: int
    """Its place in the transcript, from 0, without gaps."""
    start: float
    """Where it begins."""
    end: float
    """Where it ends."""
    text: str
    """What is said: its words joined."""
    speaker: str | None
    """Label of who says it; null: not known."""
    doubt: str | None
    """Why the text may not be what was said; null: no doubt, or a person confirmed it."""
    edited: bool
    """Whether a person changed it."""
    avg_logprob: float
    """Mean log probability of the tokens in its window (Whisper)."""
    no_speech_prob: float
    """Probability that its window has no speech (Whisper)."""
    compression_ratio: float
    """How far its window's text can be compressed; high where it repeats itself (Whisper)."""
    temperature: float
    """Sampling temperature that the text was found with (Whisper)."""
    words: Sequence[WordOut]
    """Its words; empty where they could not be timed."""

    model_config = documented(EXAMPLE_SEGMENT)


class SpeakerOut(BaseModel):
    """A voice of the file."""

    id: uuid.UUID
    """The speaker's id."""
    label: str
    """What segments, words and turns call it."""
    display_name: str | None
    """What people call it; null: not named."""
    speech_seconds: float
    """How long it speaks, as diarization heard it; analytics has the figure after edits."""

    model_config = documented(EXAMPLE_SPEAKER)


class TurnOut(BaseModel):
    """An interval in which one speaker speaks, in seconds."""

    start: float
    """Where it begins."""
    end: float
    """Where it ends."""
    speaker: str
    """Label of who speaks."""

    model_config = documented(EXAMPLE_TURN)


class TranscriptOut(BaseModel):
    """What was said, by whom and when."""

    file_id: uuid.UUID
    """The file."""
    version: int
    """Grows with every edit, and when the file is computed anew."""
    language: str | None
    """The language that was heard or asked for; null: no speech."""
    language_probability: float | None
    """How sure that is, 0..1."""
    task: str
    """`transcribe`, or `translate` into English."""
    word_timing: str | None
    """Which method timed the words; null: none was needed."""
    diarization: str
    """`done`, `off` or `failed`."""
    notes: Sequence[str]
    """What a reader should know: no speech found, diarization failed, doubtful windows."""
    models: Mapping[str, Any]
    """Which models made it."""
    speakers: Sequence[SpeakerOut]
    """The file's voices."""
    segments: Sequence[SegmentOut]
    """The lines in order."""
    turns: Sequence[TurnOut]
    """Who speaks when, as diarization heard it: they may overlap, and edits leave them alone."""
    exclusive_turns: Sequence[TurnOut]
    """The same without overlaps."""

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "version": 1,
            "language": "en",
            "language_probability": 0.98,
            "task": "transcribe",
            "word_timing": "ctc_phoneme",
            "diarization": "done",
            "notes": [],
            "models": {"whisper": "base"},
            "speakers": [EXAMPLE_SPEAKER],
            "segments": [EXAMPLE_SEGMENT],
            "turns": [EXAMPLE_TURN],
            "exclusive_turns": [EXAMPLE_TURN],
        }
    )
