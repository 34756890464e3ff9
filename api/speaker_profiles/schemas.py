"""Bodies and answers about profiles."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line, prose
from db.models import NameSource, Speaker
from db.queries.profile_voices import Occurrence
from db.queries.profiles import Described
from pipelines.speakers.erasure import Forgotten

Name = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(
        max_length=255,
        description="One line; each of your profiles has another one, whatever the letter case",
    ),
]
Description = Annotated[
    str,
    Field(max_length=10_000),
    prose,
    Field(max_length=10_000, description="Who it is, in your words"),
]


class ProfileIn(BaseModel):
    """A new profile."""

    name: Name
    description: Description = ""

    model_config = documented({"name": "Ada Example", "description": "Chairs the board."})


class ProfileChanges(BaseModel):
    """What is to be different; what is left out stays as it is."""

    name: Name | None = None
    """The new name, which all of the person's voices get; null: the one it has."""
    description: Description | None = None
    """The new description, perhaps an empty one; null: the one it has."""

    @model_validator(mode="after")
    def something(self) -> Self:
        """Refuse a change of nothing."""
        if not self.changes():
            raise ValueError("send a name, a description, or both")
        return self

    def changes(self) -> dict[str, str]:
        """What was sent."""
        return self.model_dump(exclude_none=True)

    model_config = documented({"name": "Ada B. Example"})


class ProfileOut(BaseModel):
    """A person across files."""

    id: uuid.UUID
    """The profile's id."""
    name: str
    """What the person is called."""
    description: str
    """Who it is; may be empty."""
    speaker_count: int
    """How many voices of files are this person's."""
    file_count: int
    """In how many files the person speaks."""
    verified_count: int
    """Of how many voices somebody said that they are this person's."""
    speech_seconds: float
    """Seconds of speech in all files."""
    enrolment_count: int
    """How many clips there are in which the person speaks alone."""
    has_voiceprint: bool
    """Whether the person is recognised by voice."""
    samples: int
    """Of how many verified voices and clips the voiceprint is the mean; 0: there is none."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When its name or description last changed."""

    @classmethod
    def of(cls, found: Described) -> Self:
        """The answer about this profile."""
        row = found.profile
        return cls(
            id=row.id,
            name=row.name,
            description=row.description,
            speaker_count=found.speaker_count,
            file_count=found.file_count,
            verified_count=found.verified_count,
            speech_seconds=found.speech_seconds,
            enrolment_count=found.enrolment_count,
            has_voiceprint=found.samples is not None,
            samples=found.samples or 0,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "name": "Ada Example",
            "description": "Chairs the board.",
            "speaker_count": 12,
            "file_count": 11,
            "verified_count": 9,
            "speech_seconds": 5210.4,
            "enrolment_count": 1,
            "has_voiceprint": True,
            "samples": 10,
            "created_at": EXAMPLE_MOMENT,
            "updated_at": EXAMPLE_MOMENT,
        }
    )


EXAMPLE_VOICE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "label": "SPEAKER_00",
    "verified": True,
    "speech_seconds": 312.5,
    "segment_count": 87,
}


class VoiceOut(BaseModel):
    """A voice of the person in one file."""

    id: uuid.UUID
    """The speaker's id."""
    label: str
    """What the diarizer calls it."""
    verified: bool
    """Whether somebody said that it is this person's."""
    speech_seconds: float
    """Seconds of speech."""
    segment_count: int
    """How many segments of the transcript are this voice's."""

    model_config = documented(EXAMPLE_VOICE)


class OccurrenceOut(BaseModel):
    """A file in which the person speaks."""

    file_id: uuid.UUID
    """The file's id."""
    filename: str
    """Its name."""
    title: str | None
    """What people call it; null: it goes by its file name."""
    duration: float | None
    """Its length in seconds; null: not known."""
    created_at: datetime
    """When it was taken in."""
    speech_seconds: float
    """Seconds for which the person speaks in it."""
    segment_count: int
    """How many segments of its transcript are the person's."""
    speakers: Sequence[VoiceOut]
    """The person's voices in it: one, unless diarization took one voice for several."""

    @classmethod
    def of(cls, found: Occurrence) -> Self:
        """The answer about this file."""
        return cls(
            file_id=found.file_id,
            filename=found.filename,
            title=found.title,
            duration=found.duration,
            created_at=found.created_at,
            speech_seconds=sum(voice.speech_seconds for voice in found.voices),
            segment_count=sum(voice.segment_count for voice in found.voices),
            speakers=[VoiceOut.model_validate(voice) for voice in found.voices],
        )

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "filename": "board.m4a",
            "title": "Board meeting",
            "duration": 3600.0,
            "created_at": EXAMPLE_MOMENT,
            "speech_seconds": 312.5,
            "segment_count": 87,
            "speakers": [EXAMPLE_VOICE],
        }
    )


class Assignment(BaseModel):
    """Whose voice it is."""

    profile_id: uuid.UUID
    """Your profile of that person."""

    model_config = documented({"profile_id": EXAMPLE_ID})


class AssignedOut(BaseModel):
    """Whose voice a speaker of a file is."""

    id: uuid.UUID
    """The speaker's id."""
    media_file_id: uuid.UUID
    """The file in which it speaks."""
    label: str
    """What the diarizer calls it."""
    display_name: str | None
    """What people call it; null: nobody has named it."""
    profile_id: uuid.UUID | None
    """The person's profile; null: none."""
    verified: bool
    """Whether somebody said so."""
    name_source: NameSource | None
    """Whether a person or the sound of the voice said so; null: nobody has named it."""

    @classmethod
    def of(cls, row: Speaker) -> Self:
        """The answer about this row."""
        return cls.model_validate(row)

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "media_file_id": EXAMPLE_ID,
            "label": "SPEAKER_00",
            "display_name": "Ada Example",
            "profile_id": EXAMPLE_ID,
            "verified": True,
            "name_source": "person",
        }
    )


class Erased(BaseModel):
    """What of a person was removed."""

    voices: int
    """Voices of files that are nobody's now, without voiceprint."""
    files: int
    """Files in which those voices are; their transcripts have a new version."""
    enrolments: int
    """Clips of the person."""
    mentions: int
    """Entries of histories, kept answers and events that named the person."""
    checkpoints: int
    """Stored results of diarization, which held voiceprints."""
    derived: int
    """Summaries and suggestions of language models, of files with those voices, or that named the
    person: all are made anew when somebody asks."""

    @classmethod
    def of(cls, found: Forgotten) -> Self:
        """The answer about this erasure."""
        return cls.model_validate(found)

    model_config = documented(
        {
            "voices": 12,
            "files": 11,
            "enrolments": 1,
            "mentions": 14,
            "checkpoints": 11,
            "derived": 9,
        }
    )
