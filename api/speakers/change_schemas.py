"""What is decided about voices: verification, propagation of names, changes and their undoing."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.speakers.schemas import EXAMPLE_PERSON, OTHER_ID, PersonName, PersonOut
from db.models import ChangeAction
from pipelines.speakers.calibration import Level
from pipelines.speakers.propagation import Skipped

MAX_LISTED = 1000
"""Ids in one body, whatever the operator allows to be changed at a time."""


class VerifyAction(StrEnum):
    """What a person says of a suggestion."""

    accept = "accept"
    reject = "reject"
    create_profile = "create_profile"


class Verification(BaseModel):
    """What a person says of who a voice may be.

    `accept` and `reject` name a profile or another voice; without either they are about the name
    that the voice has now. `create_profile` names a new person.
    """

    action: VerifyAction
    """What is said."""
    profile_id: uuid.UUID | None = None
    """The person whose voice it is, or is not."""
    speaker_id: uuid.UUID | None = None
    """A voice that is, or is not, the same person's: its name is taken, and it gets a profile where
    it has none."""
    profile_name: PersonName | None = None
    """What the new person is called."""

    model_config = documented({"action": "accept", "profile_id": EXAMPLE_ID})

    @model_validator(mode="after")
    def no_contradiction(self) -> Self:
        """Refuse what does not go together."""
        if (self.action is VerifyAction.create_profile) != (self.profile_name is not None):
            raise ValueError("profile_name goes with create_profile, and only with it")
        named = [one for one in (self.profile_id, self.speaker_id) if one is not None]
        if len(named) > 1 or (named and self.profile_name is not None):
            raise ValueError("send one of profile_id, speaker_id and profile_name")
        return self


EXAMPLE_APPEARANCE: dict[str, Any] = {
    "media_file_id": EXAMPLE_ID,
    "file_title": "interview.m4a",
    "speaker_id": OTHER_ID,
    "label": "SPEAKER_01",
    "display_name": "Ada",
    "same_person": True,
    "verified": True,
    "similarity": 0.83,
    "level": "high",
    "speech_seconds": 120.5,
}


class Appearance(BaseModel):
    """A voice of another file."""

    media_file_id: uuid.UUID
    """That file."""
    file_title: str
    """What it is called."""
    speaker_id: uuid.UUID
    """The voice."""
    label: str
    """What its transcript calls it."""
    display_name: str | None
    """What people call it; null: not named."""
    same_person: bool
    """Whether it has the same profile; else it only sounds alike."""
    verified: bool
    """Whether a person said who it is."""
    similarity: float | None
    """Cosine of the two voices, -1..1; null: they were not compared, or are not alike."""
    level: Level | None
    """What that means for their model; null as `similarity`."""
    speech_seconds: float
    """How long it speaks there."""

    model_config = documented(EXAMPLE_APPEARANCE)


class Propagation(BaseModel):
    """Which voices are to be called like this one."""

    speaker_ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MAX_LISTED)]
    """Voices of the preview; nobody else is named."""
    display_name: PersonName | None = None
    """What they are called, and this voice too; left out: as this voice is."""

    model_config = documented({"speaker_ids": [OTHER_ID]})


class SkippedVoice(BaseModel):
    """A voice that was not named, and why."""

    speaker_id: uuid.UUID
    """The voice."""
    reason: Skipped
    """`gone`: there is no such voice (any more); `named`: it has a name meanwhile; `ruled_out`: a
    person said that it is somebody else's; `not_alike`: it does not sound like this one."""

    model_config = documented({"speaker_id": OTHER_ID, "reason": "named"})


class PropagationOut(BaseModel):
    """Who is called so now."""

    change_id: uuid.UUID | None
    """What undoes all of it; null: nobody is called otherwise."""
    profile: PersonOut
    """Whose voices they are."""
    named: Sequence[uuid.UUID]
    """Voices that got the name."""
    skipped: Sequence[SkippedVoice]
    """Voices that did not."""

    model_config = documented(
        {
            "change_id": EXAMPLE_ID,
            "profile": EXAMPLE_PERSON,
            "named": [OTHER_ID],
            "skipped": [{"speaker_id": EXAMPLE_ID, "reason": "named"}],
        }
    )


EXAMPLE_WAS = {"display_name": None, "profile_id": None, "verified": False}
EXAMPLE_BECAME = {"display_name": "Ada", "profile_id": EXAMPLE_ID, "verified": True}


class WhoOut(BaseModel):
    """Who a voice was said to be."""

    display_name: str | None
    """What it was called then; null: not named."""
    profile_id: uuid.UUID | None
    """The person, who may be gone by now; null: nobody."""
    verified: bool
    """Whether a person said so."""

    model_config = documented(EXAMPLE_WAS)


class ChangedVoice(BaseModel):
    """What a change made of one voice."""

    speaker_id: uuid.UUID
    """The voice, which may be gone by now."""
    before: WhoOut
    """Who it was."""
    after: WhoOut
    """Who it became."""

    model_config = documented(
        {"speaker_id": EXAMPLE_ID, "before": EXAMPLE_WAS, "after": EXAMPLE_BECAME}
    )


class ChangeOut(BaseModel):
    """A change of who voices are."""

    id: uuid.UUID
    """The change's id."""
    action: ChangeAction
    """What was done."""
    created_at: datetime
    """When."""
    undone: bool
    """Whether it was undone since."""
    total_speakers: int
    """How many voices it was about."""
    speakers: Sequence[ChangedVoice]
    """What it made of them: at most 100 are told."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "action": "named",
            "created_at": EXAMPLE_MOMENT,
            "undone": False,
            "total_speakers": 1,
            "speakers": [
                {"speaker_id": EXAMPLE_ID, "before": EXAMPLE_WAS, "after": EXAMPLE_BECAME}
            ],
        }
    )


class UndoOut(BaseModel):
    """What was undone."""

    change_id: uuid.UUID
    """The change."""
    restored: int
    """How many voices are who they were before it."""
    changed_since: Sequence[uuid.UUID]
    """Voices that stay as they are: somebody changed them since, they are gone, or who they were
    then is."""

    model_config = documented({"change_id": EXAMPLE_ID, "restored": 3, "changed_since": [OTHER_ID]})
