"""Answers about media files and their transcripts."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, TaskOut, documented
from db.models import FileStatus, MediaFile, Task

EXAMPLE_FILE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "filename": "interview.m4a",
    "title": None,
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
}


class FileOut(BaseModel):
    """A media file. `status` follows from its latest task; `duration` is in seconds."""

    id: uuid.UUID
    filename: str
    title: str | None
    content_type: str
    size_bytes: int
    sha256: str
    status: FileStatus
    duration: float | None
    language: str | None
    has_thumbnail: Annotated[bool, BeforeValidator(bool), Field(validation_alias="thumbnail_key")]
    error_type: str | None
    error_message: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    model_config = documented(
        {
            **EXAMPLE_FILE,
        }
    )


class FileDetail(FileOut):
    """A media file with what its header and its decoding told, and its latest task."""

    probe: dict[str, Any]
    metadata: Annotated[dict[str, Any], Field(validation_alias="media_metadata")]
    task: TaskOut | None = None

    model_config = documented(
        {
            **EXAMPLE_FILE,
            "probe": {"container": "mp4", "audio_codec": "aac"},
            "metadata": {},
            "task": None,
        }
    )


class Accepted(BaseModel):
    """A file that was taken in, and the task that transcribes it."""

    file: FileOut
    task: TaskOut

    @classmethod
    def of(cls, file: MediaFile, task: Task) -> Self:
        """The answer about these rows."""
        return cls(file=FileOut.model_validate(file), task=TaskOut.model_validate(task))

    model_config = documented(
        {
            "file": EXAMPLE_FILE,
            "task": {"id": EXAMPLE_ID, "state": "queued"},
        }
    )


class WordOut(BaseModel):
    """One word; times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
    probability: float
    speaker: str | None


class SegmentOut(BaseModel):
    """A line of the transcript. `doubt` says why the text may not be what was said."""

    id: uuid.UUID
    index: int
    start: float
    end: float
    text: str
    speaker: str | None
    doubt: str | None
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    words: Sequence[WordOut]


class SpeakerOut(BaseModel):
    """A voice of the file; `label` is what segments, words and turns name."""

    id: uuid.UUID
    label: str
    display_name: str | None
    speech_seconds: float

    model_config = {"from_attributes": True}


class TurnOut(BaseModel):
    """An interval in which one speaker speaks."""

    start: float
    end: float
    speaker: str


class TranscriptOut(BaseModel):
    """What was said, by whom and when. `turns` may overlap, `exclusive_turns` do not."""

    file_id: uuid.UUID
    language: str | None
    language_probability: float | None
    task: str
    word_timing: str | None
    diarization: str
    notes: Sequence[str]
    models: Mapping[str, Any]
    speakers: Sequence[SpeakerOut]
    segments: Sequence[SegmentOut]
    turns: Sequence[TurnOut]
    exclusive_turns: Sequence[TurnOut]

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "language": "en",
            "language_probability": 0.98,
            "task": "transcribe",
            "word_timing": "ctc_phoneme",
            "diarization": "done",
            "notes": [],
            "models": {"whisper": "base"},
            "speakers": [
                {
                    "id": EXAMPLE_ID,
                    "label": "SPEAKER_00",
                    "display_name": None,
                    "speech_seconds": 12.5,
                }
            ],
            "segments": [
                {
                    "id": EXAMPLE_ID,
                    "index": 0,
                    "start": 0.5,
                    "end": 0.9,
                    "text": "Hello.",
                    "speaker": "SPEAKER_00",
                    "doubt": None,
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
            ],
            "turns": [{"start": 0.4, "end": 1.0, "speaker": "SPEAKER_00"}],
            "exclusive_turns": [{"start": 0.4, "end": 1.0, "speaker": "SPEAKER_00"}],
        }
    )


class Waveform(BaseModel):
    """Peaks in 0..1, equally spaced over `duration` seconds."""

    duration: float | None
    peaks: Sequence[float]

    model_config = documented(
        {
            "duration": 2.0,
            "peaks": [0.0, 0.4, 0.9, 0.1],
        }
    )
