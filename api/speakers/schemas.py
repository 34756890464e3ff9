"""Answers about voices, and what they may be asked."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.suggestions import EXAMPLE_SUGGESTION, SuggestionOut
from api.text import one_line
from db.models import NameSource
from pipelines.speakers.calibration import Level
from pipelines.speakers.naming import ProfileAction
from pipelines.speakers.suggestions import SpeakerStatus

MAX_SPLIT_SEGMENTS = 2000
"""An hour of speech: nobody picks more lines by hand."""

PersonName = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(min_length=1, max_length=255),
]
"""One line; blanks around it are dropped, and letter case makes no difference between people."""

OTHER_ID = "0d7f5b1e-7a43-4d8f-8f0e-1f2a3b4c5d6e"
EXAMPLE_PERSON: dict[str, Any] = {"id": EXAMPLE_ID, "name": "Ada"}
EXAMPLE_VOICE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "media_file_id": EXAMPLE_ID,
    "file_title": "interview.m4a",
    "label": "SPEAKER_00",
    "display_name": None,
    "resolved_display_name": "SPEAKER_00",
    "profile": None,
    "verified": False,
    "name_source": None,
    "cluster_id": None,
    "confidence": 0.87,
    "level": "high",
    "speech_seconds": 312.4,
    "clean_seconds": 290.1,
    "has_voiceprint": True,
    "computed_status": "suggested",
    "status_text": "High confidence match - click to verify",
    "status_color": "#f59e0b",
    "suggestions": [EXAMPLE_SUGGESTION],
    "total_suggestions": 1,
    "cross_video_matches": 2,
    "created_at": EXAMPLE_MOMENT,
}


class PersonOut(BaseModel):
    """A person across files."""

    id: uuid.UUID
    """The profile's id."""
    name: str
    """What they are called."""

    model_config = documented(EXAMPLE_PERSON)


class FileVoice(BaseModel):
    """A voice of a file: who it is, or may be."""

    id: uuid.UUID
    """The speaker's id."""
    media_file_id: uuid.UUID
    """The file in which it speaks."""
    file_title: str
    """What that file is called."""
    label: str
    """What segments, words and turns of the transcript call it."""
    display_name: str | None
    """What people call it; null: not named."""
    resolved_display_name: str
    """What to show: the name, else the label."""
    profile: PersonOut | None
    """Whose voice it is, across files; null: nobody's yet, or a name of this file only."""
    verified: bool
    """Whether a person said, or confirmed, who it is."""
    name_source: NameSource | None
    """Where the name comes from: a person, or the sound of the voice alone; null: from neither."""
    cluster_id: uuid.UUID | None
    """The group of unnamed voices that it is in; null: none."""
    confidence: float | None
    """Cosine of the best suggestion, -1..1; null: there is none."""
    level: Level | None
    """What that means for this model; null: there is no suggestion."""
    speech_seconds: float
    """How long it speaks, as diarization heard it."""
    clean_seconds: float
    """How much of that nobody else speaks: how far its voiceprint is to be trusted."""
    has_voiceprint: bool
    """Whether it can be compared with others."""
    computed_status: SpeakerStatus
    """How far it is known who it is."""
    status_text: str
    """The same in words."""
    status_color: str
    """A colour for it, as `#rrggbb`."""
    suggestions: Sequence[SuggestionOut]
    """Who it may be: people first, then other names, the most similar first; at most ten."""
    total_suggestions: int
    """How many there are in all."""
    cross_video_matches: int
    """How many voices of other files are this person's, or sound alike."""
    created_at: datetime
    """When it was found."""

    model_config = documented(EXAMPLE_VOICE)


class NameOut(BaseModel):
    """A name that voices have."""

    name: str
    """What they are called."""
    profile_id: uuid.UUID | None
    """The person; null: voices that are called so in their file only."""
    speakers: int
    """How many voices."""
    files: int
    """In how many files."""

    model_config = documented({"name": "Ada", "profile_id": EXAMPLE_ID, "speakers": 3, "files": 2})


class SpeakerIn(BaseModel):
    """Somebody who speaks in a file, and whom diarization did not find."""

    media_file_id: uuid.UUID
    """The file."""
    display_name: PersonName
    """What they are called."""

    model_config = documented({"media_file_id": EXAMPLE_ID, "display_name": "Ada"})


class SpeakerChanges(BaseModel):
    """What is to change of a speaker: at least one thing; what is left out stays."""

    display_name: PersonName | None = None
    """What it is called, which verifies it; null: it is not known who that is."""
    verified: bool | None = None
    """Whether the name that it has is right."""
    profile_action: ProfileAction | None = None
    """What the name means across files. Left out: it is the person of that name, who is made where
    there is none. `update_profile`: whose voice it is, is called so from now on, in all files.
    `create_new_profile`: a person who is not known yet. `none`: a name in this file only."""

    model_config = documented({"display_name": "Ada"})

    @property
    def names(self) -> bool:
        """Whether the name is to change."""
        return "display_name" in self.model_fields_set

    @model_validator(mode="after")
    def something_and_no_contradiction(self) -> Self:
        """Refuse a body that says nothing, or two things at once."""
        if not self.names and self.verified is None:
            raise ValueError("send display_name or verified")
        if self.profile_action is not None and self.display_name is None:
            raise ValueError("profile_action goes with a display_name")
        if self.display_name is not None and self.verified is False:
            raise ValueError("naming a speaker verifies it: leave verified out")
        if self.names and self.display_name is None and self.verified:
            raise ValueError("who is nobody cannot be verified: leave verified out")
        return self


class SpeakerSplit(BaseModel):
    """Which segments are somebody else's."""

    segment_ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MAX_SPLIT_SEGMENTS)]
    """Segments of this speaker, but not all."""
    display_name: PersonName | None = None
    """What the other one is called; left out: not known."""

    model_config = documented({"segment_ids": [EXAMPLE_ID], "display_name": "Grace"})


class SplitOut(BaseModel):
    """Two speakers where there was one."""

    source: FileVoice
    """Who is left; its voiceprint is that of both until the task is done."""
    speaker: FileVoice
    """The new one; it has no voiceprint until then."""
    task_id: uuid.UUID | None
    """The task that makes their voiceprints; null: one that waits already will, or there is
    nothing to hear."""

    model_config = documented(
        {
            "source": EXAMPLE_VOICE,
            "speaker": {
                **EXAMPLE_VOICE,
                "id": OTHER_ID,
                "label": "SPEAKER_02",
                "resolved_display_name": "SPEAKER_02",
                "has_voiceprint": False,
                "confidence": None,
                "level": None,
                "suggestions": [],
                "total_suggestions": 0,
                "cross_video_matches": 0,
            },
            "task_id": EXAMPLE_ID,
        }
    )


class CleanupOut(BaseModel):
    """What a cleanup of the vector store did."""

    checked: int
    """How many voiceprints the store had."""
    removed: int
    """How many of them were nobody's any more, and are gone."""

    model_config = documented({"checked": 120, "removed": 3})
