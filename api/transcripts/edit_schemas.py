"""What an edit of a transcript wants, what it answers, and its history."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line, prose
from api.transcripts.schemas import EXAMPLE_SEGMENT, EXAMPLE_SPEAKER, SegmentOut, SpeakerOut
from db.models import TranscriptEdit, User
from db.queries.edits import EditAction
from pipelines.editing import MAX_LINE_CHARACTERS

MAX_NAME_CHARACTERS = 100
"""Longer names do not fit beside a line of text."""
MAX_MERGED = 100
"""Nobody reads a longer line; it also bounds what one edit writes into the history."""
MAX_SECONDS = 1e7
"""No recording is longer."""

Text = Annotated[
    str,
    Field(min_length=1, max_length=MAX_LINE_CHARACTERS),
    prose,
    Field(min_length=1, max_length=MAX_LINE_CHARACTERS),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_CHARACTERS),
    one_line,
    Field(min_length=1, max_length=MAX_NAME_CHARACTERS),
]


class SegmentChange(BaseModel):
    """What is to change in a segment: at least one thing; what is left out stays."""

    text: Text | None = None
    """What is said; blanks become single spaces. Sending it as it is confirms it (no `doubt`)."""
    speaker_id: uuid.UUID | None = None
    """Which of the file's speakers says it; null: nobody known."""
    new_speaker: Name | None = None
    """Name of a speaker of this file that is not in its list yet, who says it."""

    model_config = documented({"text": "Hello there.", "speaker_id": EXAMPLE_ID})

    @model_validator(mode="after")
    def something_and_no_contradiction(self) -> Self:
        """Refuse a body that says nothing, or two things at once."""
        if self.new_speaker is not None and "speaker_id" in self.model_fields_set:
            raise ValueError("send speaker_id or new_speaker, not both")
        if self.text is None and not self.assigns:
            raise ValueError("send text, speaker_id or new_speaker")
        return self

    @property
    def assigns(self) -> bool:
        """Whether the speaker is to change."""
        return "speaker_id" in self.model_fields_set or self.new_speaker is not None


class SegmentSplit(BaseModel):
    """Where the second half begins, in one of three ways."""

    word: Annotated[int, Field(ge=1, le=MAX_LINE_CHARACTERS)] | None = None
    """With this word, counted from 0."""
    character: Annotated[int, Field(ge=0, le=MAX_LINE_CHARACTERS)] | None = None
    """With the first word that begins at or behind this place of the text (a cursor's)."""
    time: Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)] | None = None
    """With the first word whose middle is at or behind this second of the recording."""

    model_config = documented({"word": 4})

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Refuse none and several."""
        if len([way for way in (self.word, self.character, self.time) if way is not None]) != 1:
            raise ValueError("send one of word, character and time")
        return self


class SegmentMerge(BaseModel):
    """Segments that follow each other, in any order."""

    segment_ids: Annotated[list[uuid.UUID], Field(min_length=2, max_length=MAX_MERGED)]
    """Which ones; the first of them keeps its id."""

    model_config = documented({"segment_ids": [EXAMPLE_ID, "0d7f5b1e-7a43-4d8f-8f0e-1f2a3b4c5d6e"]})


class EditOut(BaseModel):
    """What an edit changed."""

    version: int
    """The transcript's version now; the `ETag` header is for the next `If-Match`."""
    edit_id: uuid.UUID | None
    """The edit in the history; null: everything was so already, and nothing was written."""
    segments: Sequence[SegmentOut]
    """The segments as they are now. Later ones moved by the difference in number."""
    removed: Sequence[uuid.UUID]
    """Segments that are no more."""
    speakers: Sequence[SpeakerOut]
    """All of the file's voices, new ones included."""

    model_config = documented(
        {
            "version": 2,
            "edit_id": EXAMPLE_ID,
            "segments": [{**EXAMPLE_SEGMENT, "edited": True}],
            "removed": [],
            "speakers": [EXAMPLE_SPEAKER],
        }
    )


EXAMPLE_NOTE = {
    "id": EXAMPLE_ID,
    "start": 0.5,
    "end": 0.9,
    "text": "Hello.",
    "speaker": "SPEAKER_00",
}


class NotedSegment(BaseModel):
    """A segment as it was, or became."""

    id: uuid.UUID
    """The segment's id."""
    start: float
    """Where it begins, in seconds."""
    end: float
    """Where it ends, in seconds."""
    text: str
    """What is said."""
    speaker: str | None
    """Label of who says it; null: not known."""

    model_config = documented(EXAMPLE_NOTE)


class PastEdit(BaseModel):
    """One edit in the history of a transcript."""

    id: uuid.UUID
    """The edit's id."""
    version: int
    """The transcript's version that it made."""
    action: EditAction
    """What was done. `reprocessed`: the file was computed anew, and earlier edits went with it."""
    user_id: uuid.UUID | None
    """Who did it; null: the account is gone."""
    user_name: str | None
    """That account's name, or its address where it has none."""
    created_at: datetime
    """When."""
    before: Sequence[NotedSegment]
    """The segments that were changed."""
    after: Sequence[NotedSegment]
    """What they became."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "version": 2,
            "action": "text_changed",
            "user_id": EXAMPLE_ID,
            "user_name": "Grace Hopper",
            "created_at": EXAMPLE_MOMENT,
            "before": [{**EXAMPLE_NOTE, "text": "Hallo."}],
            "after": [EXAMPLE_NOTE],
        }
    )

    @classmethod
    def of(cls, edit: TranscriptEdit, user: User | None) -> Self:
        """The answer about these rows."""
        return cls(
            id=edit.id,
            version=edit.version,
            action=EditAction(edit.action),
            user_id=edit.user_id,
            user_name=(user.full_name or user.email) if user else None,
            created_at=edit.created_at,
            before=_noted(edit.before),
            after=_noted(edit.after),
        )


def _noted(note: Mapping[str, Any]) -> list[NotedSegment]:
    return [NotedSegment.model_validate(segment) for segment in note.get("segments", [])]
