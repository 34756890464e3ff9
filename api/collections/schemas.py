"""Bodies and answers about collections."""

import uuid
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from api.labels import CollectionTitle
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import prose
from db.models import Collection

Description = Annotated[
    str,
    Field(max_length=10_000),
    prose,
    Field(max_length=10_000, description="What belongs in it, in your words"),
]


class CollectionIn(BaseModel):
    """A new collection."""

    name: CollectionTitle
    description: Description = ""

    model_config = documented({"name": "Interviews 2030", "description": "All about the move."})


class CollectionChanges(BaseModel):
    """What is to be different; what is left out stays as it is."""

    name: CollectionTitle | None = None
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

    model_config = documented({"name": "Interviews 2031"})


class CollectionOut(BaseModel):
    """A named set of files."""

    id: uuid.UUID
    """The collection's id."""
    name: str
    """Its name."""
    description: str
    """What belongs in it; may be empty."""
    media_count: int
    """How many files are in it."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When its name or description last changed."""

    @classmethod
    def of(cls, row: Collection, media_count: int) -> Self:
        """The answer about this row."""
        return cls(
            id=row.id,
            name=row.name,
            description=row.description,
            media_count=media_count,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "name": "Interviews 2030",
            "description": "All about the move.",
            "media_count": 12,
            "created_at": EXAMPLE_MOMENT,
            "updated_at": EXAMPLE_MOMENT,
        }
    )


class MediaList(BaseModel):
    """Files to be put in or taken out: all of them, or, where one is not yours, none."""

    file_ids: Annotated[
        list[uuid.UUID],
        Field(min_length=1, max_length=1000, description="Your files; each counts once"),
    ]

    model_config = documented({"file_ids": [EXAMPLE_ID]})


class MediaChanged(BaseModel):
    """What came of it."""

    changed: int
    """How many files were put in or taken out; the others were so already."""
    media_count: int
    """How many files are in the collection now."""

    model_config = documented({"changed": 3, "media_count": 12})
