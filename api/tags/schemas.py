"""Bodies and answers about tags."""

import uuid
from datetime import datetime

from pydantic import BaseModel

from api.labels import TagName
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented


class TagIn(BaseModel):
    """A tag by its name."""

    name: TagName

    model_config = documented({"name": "interview"})


class TagOut(BaseModel):
    """A word that marks files of one user."""

    id: uuid.UUID
    """The tag's id."""
    name: str
    """As it was first written."""
    created_at: datetime
    """When it was made."""

    model_config = documented({"id": EXAMPLE_ID, "name": "interview", "created_at": EXAMPLE_MOMENT})


class TagWithCount(TagOut):
    """A tag, and how much it is used."""

    usage_count: int
    """On how many files it is."""

    model_config = documented(
        {"id": EXAMPLE_ID, "name": "interview", "created_at": EXAMPLE_MOMENT, "usage_count": 12}
    )


class TagsRemoved(BaseModel):
    """What a cleanup did."""

    removed: int
    """How many tags were on no file, and are gone."""

    model_config = documented({"removed": 3})
