"""Bodies and answers about collections of speakers."""

import uuid
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line, prose
from db.models import SpeakerCollection

Name = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(max_length=255, description="One line; each of your speaker collections has another one"),
]
Description = Annotated[
    str,
    Field(max_length=10_000),
    prose,
    Field(max_length=10_000, description="Who belongs in it, in your words"),
]


class SpeakerCollectionIn(BaseModel):
    """A new collection of speakers."""

    name: Name
    description: Description = ""

    model_config = documented({"name": "Board", "description": "Members since 2030."})


class SpeakerCollectionChanges(BaseModel):
    """What is to be different; what is left out stays as it is."""

    name: Name | None = None
    """The new name; null: the one it has."""
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

    model_config = documented({"name": "Former board"})


class SpeakerCollectionOut(BaseModel):
    """A named set of profiles."""

    id: uuid.UUID
    """The collection's id."""
    name: str
    """Its name."""
    description: str
    """Who belongs in it; may be empty."""
    profile_count: int
    """How many profiles are in it."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When its name or description last changed."""

    @classmethod
    def of(cls, row: SpeakerCollection, profile_count: int) -> Self:
        """The answer about this row."""
        return cls(
            id=row.id,
            name=row.name,
            description=row.description,
            profile_count=profile_count,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "name": "Board",
            "description": "Members since 2030.",
            "profile_count": 7,
            "created_at": EXAMPLE_MOMENT,
            "updated_at": EXAMPLE_MOMENT,
        }
    )


class ProfileList(BaseModel):
    """Profiles to be put in or taken out: all of them, or, where one is not yours, none."""

    profile_ids: Annotated[
        list[uuid.UUID],
        Field(min_length=1, max_length=1000, description="Your profiles; each counts once"),
    ]

    model_config = documented({"profile_ids": [EXAMPLE_ID]})


class ProfilesChanged(BaseModel):
    """What came of it."""

    changed: int
    """How many profiles were put in or taken out; the others were so already."""
    profile_count: int
    """How many profiles are in the collection now."""

    model_config = documented({"changed": 2, "profile_count": 7})
