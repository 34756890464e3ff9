"""Bodies and answers about prompts."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line, prose
from db.models import ContentType, SummaryPrompt
from pipelines.language.prompts import Origin, Prompt

MAX_CHARACTERS = 100_000
"""What is looked at of a prompt; the installation's own limit is lower."""
EXAMPLE_TEXT = (
    "Summarise this call for the sales team. Say first what the customer wants.\n\n"
    "Speakers: {speaker_data}\n\nTranscript:\n{transcript}"
)

Name = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(max_length=255, description="One line; each of your prompts has another one"),
]
Description = Annotated[
    str,
    Field(max_length=2000),
    prose,
    Field(max_length=2000, description="What it is for, in your words"),
]
Text = Annotated[
    str,
    Field(min_length=1, max_length=MAX_CHARACTERS),
    prose,
    Field(
        max_length=MAX_CHARACTERS,
        description="What the model is asked. `{transcript}` and `{speaker_data}` must be in it; "
        "`{title}`, `{duration}` and `{language}` may be. Other braces are written twice",
    ),
]


class PromptIn(BaseModel):
    """A new prompt."""

    name: Name
    description: Description = ""
    content_type: ContentType = ContentType.general
    """For which kind of recordings."""
    prompt_text: Text

    model_config = documented(
        {
            "name": "Sales calls",
            "description": "What the customer wants.",
            "content_type": "meeting",
            "prompt_text": EXAMPLE_TEXT,
        }
    )


class PromptChanges(BaseModel):
    """What is to be different; what is left out stays as it is."""

    name: Name | None = None
    """The new name; null: the one it has."""
    description: Description | None = None
    """The new description, perhaps an empty one; null: the one it has."""
    content_type: ContentType | None = None
    """The new kind of recordings; null: the one it has."""
    prompt_text: Text | None = None
    """The new text; null: the one it has."""

    @model_validator(mode="after")
    def something(self) -> Self:
        """Refuse a change of nothing."""
        if not self.changes():
            raise ValueError("send a name, a description, a content_type or a prompt_text")
        return self

    def changes(self) -> dict[str, Any]:
        """What was sent."""
        return self.model_dump(exclude_none=True)

    model_config = documented({"description": "What the customer wants, and by when."})


EXAMPLE_PROMPT = {
    "id": EXAMPLE_ID,
    "name": "Sales calls",
    "description": "What the customer wants.",
    "content_type": "meeting",
    "prompt_text": EXAMPLE_TEXT,
    "is_system": False,
    "is_active": True,
    "created_at": EXAMPLE_MOMENT,
    "updated_at": EXAMPLE_MOMENT,
}


class PromptOut(BaseModel):
    """A prompt."""

    id: uuid.UUID
    """The prompt's id."""
    name: str
    """Its name."""
    description: str
    """What it is for; may be empty."""
    content_type: ContentType
    """For which kind of recordings."""
    prompt_text: str
    """What the model is asked; variables stand in braces."""
    is_system: bool
    """Whether everybody has it and nobody can change it."""
    is_active: bool
    """Whether you set it as the one that your summaries are made with."""
    created_at: datetime | None
    """When you made it; null: it is the system's."""
    updated_at: datetime | None
    """When you last changed it; null: it is the system's."""

    @classmethod
    def of_system(cls, prompt: Prompt, active_id: uuid.UUID | None) -> Self:
        """The answer about one of the system's."""
        return cls(
            id=prompt.id,
            name=prompt.name,
            description=prompt.description,
            content_type=prompt.content_type,
            prompt_text=prompt.text,
            is_system=True,
            is_active=prompt.id == active_id,
            created_at=None,
            updated_at=None,
        )

    @classmethod
    def of_own(cls, row: SummaryPrompt, active_id: uuid.UUID | None) -> Self:
        """The answer about one of a user's own."""
        return cls(
            id=row.id,
            name=row.name,
            description=row.description,
            content_type=row.content_type,
            prompt_text=row.prompt_text,
            is_system=False,
            is_active=row.id == active_id,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    model_config = documented(EXAMPLE_PROMPT)


class PromptsOfType(BaseModel):
    """All prompts for one kind of recordings."""

    content_type: ContentType
    """The kind of recordings."""
    system: PromptOut
    """The system's."""
    own: list[PromptOut]
    """Yours, by name."""
    active_prompt_id: uuid.UUID | None
    """The prompt that you set active, of whatever kind; null: none."""

    model_config = documented(
        {
            "content_type": "meeting",
            "system": {**EXAMPLE_PROMPT, "name": "Meeting", "is_system": True, "is_active": False},
            "own": [EXAMPLE_PROMPT],
            "active_prompt_id": EXAMPLE_ID,
        }
    )


class ActivePrompt(BaseModel):
    """The prompt that your summaries are made with where a request names none."""

    prompt: PromptOut
    """The prompt."""
    origin: Origin
    """`own`: you set it; `system`: you set none; `fallback`: the one that you set is deleted."""
    note: str | None
    """What you should know about it; null: nothing."""

    model_config = documented({"prompt": EXAMPLE_PROMPT, "origin": "own", "note": None})


class ActiveChoice(BaseModel):
    """Which prompt is to be used where a request names none."""

    prompt_id: uuid.UUID | None
    """One of yours or of the system's; null: the system's for the kind of recording."""

    model_config = documented({"prompt_id": EXAMPLE_ID})
