"""Bodies and answers about comments."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import prose

Text = Annotated[
    str,
    Field(min_length=1, max_length=10_000),
    prose,
    Field(max_length=10_000, description="Plain text of one or more lines"),
]
Timestamp = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
]


class CommentIn(BaseModel):
    """A new comment."""

    text: Text
    timestamp: Timestamp | None = None
    """The moment that it is about, in seconds from the start; null: the whole file."""

    model_config = documented({"text": "Who is this?", "timestamp": 83.5})


class CommentChanges(BaseModel):
    """What is to be different; what is left out stays as it is."""

    text: Text | None = None
    """The new text; null is refused."""
    timestamp: Timestamp | None = None
    """The moment that it is about, in seconds from the start; null: the whole file."""

    @model_validator(mode="after")
    def something(self) -> Self:
        """Refuse a change of nothing, and a comment without text."""
        if not self.model_fields_set:
            raise ValueError("send a text, a timestamp, or both")
        if "text" in self.model_fields_set and self.text is None:
            raise ValueError("a comment has a text; to remove it, delete the comment")
        return self

    def changes(self) -> dict[str, Any]:
        """What was sent."""
        return self.model_dump(exclude_unset=True)

    model_config = documented({"text": "This is Ada."})


class CommentOut(BaseModel):
    """A remark on a file, or on a moment of it."""

    id: uuid.UUID
    """The comment's id."""
    file_id: Annotated[uuid.UUID, Field(validation_alias="media_file_id")]
    """The file that it is on."""
    user_id: uuid.UUID
    """Who wrote it."""
    text: str
    """Plain text of one or more lines."""
    timestamp: float | None
    """The moment that it is about, in seconds from the start; null: the whole file."""
    created_at: datetime
    """When it was written."""
    updated_at: datetime
    """When it was last changed."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "file_id": EXAMPLE_ID,
            "user_id": EXAMPLE_ID,
            "text": "Who is this?",
            "timestamp": 83.5,
            "created_at": EXAMPLE_MOMENT,
            "updated_at": EXAMPLE_MOMENT,
        }
    )
