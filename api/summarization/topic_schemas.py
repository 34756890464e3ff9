"""Bodies and answers about tags and collections that a language model suggests."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.listing import CollectionName
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from cluster.settings import LlmProvider
from db.models import SuggestionState, TopicSuggestion

MAX_FILES = 100
MAX_NAMES = 100

EXAMPLE_TOPIC: dict[str, Any] = {
    "name": "launch",
    "confidence": 0.85,
    "rationale": "Most of the meeting is about the launch date.",
}
EXAMPLE_TOPICS: dict[str, Any] = {
    "file_id": EXAMPLE_ID,
    "suggested_tags": [EXAMPLE_TOPIC],
    "suggested_collections": [],
    "status": "pending",
    "user_decisions": {"tags": [], "collections": []},
    "transcript_version": 3,
    "is_stale": False,
    "provider": "local",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "updated_at": EXAMPLE_MOMENT,
}


class TopicsRequest(BaseModel):
    """How suggestions are asked for."""

    force_regenerate: bool = False
    """Whether others are made although there are some for the transcript as it is."""

    model_config = ConfigDict(**{**documented({"force_regenerate": False}), "extra": "forbid"})


class TopicsBatchRequest(TopicsRequest):
    """The same for many files."""

    file_ids: Annotated[
        list[uuid.UUID],
        Field(min_length=1, max_length=MAX_FILES, description="Named twice, it is done once"),
    ]

    model_config = ConfigDict(
        **{
            **documented({"file_ids": [EXAMPLE_ID], "force_regenerate": False}),
            "extra": "forbid",
        }
    )


class SuggestedTopic(BaseModel):
    """A tag or a collection that is suggested."""

    name: str
    """What it is called."""
    confidence: float
    """How sure the model is, 0..1."""
    rationale: str
    """Why."""

    model_config = documented(EXAMPLE_TOPIC)


class TopicDecisions(BaseModel):
    """What of the suggestions was accepted."""

    tags: Sequence[str] = ()
    """Tags."""
    collections: Sequence[str] = ()
    """Collections."""

    model_config = documented({"tags": ["launch"], "collections": []})


class TopicsOut(BaseModel):
    """What a language model suggests for a file."""

    file_id: uuid.UUID
    """The file's id."""
    suggested_tags: Sequence[SuggestedTopic]
    """Tags, the surest first."""
    suggested_collections: Sequence[SuggestedTopic]
    """Collections, the surest first."""
    status: SuggestionState
    """What a person did with them."""
    user_decisions: TopicDecisions
    """What of them was accepted; empty while they are pending."""
    transcript_version: int
    """Of the transcript that was read."""
    is_stale: bool
    """Whether the transcript was changed since."""
    provider: LlmProvider
    """Whose language model it is."""
    model: str
    """Which."""
    updated_at: datetime
    """When they were made, or decided on."""

    model_config = documented(EXAMPLE_TOPICS)

    @classmethod
    def of(cls, row: TopicSuggestion, transcript_version: int | None) -> Self:
        """The answer about this row, whose transcript is now of this version."""
        return cls(
            file_id=row.media_file_id,
            suggested_tags=[SuggestedTopic.model_validate(one) for one in row.tags],
            suggested_collections=[SuggestedTopic.model_validate(one) for one in row.collections],
            status=row.state,
            user_decisions=TopicDecisions.model_validate(row.decisions),
            transcript_version=row.transcript_version,
            is_stale=row.transcript_version != transcript_version,
            provider=row.provider,
            model=row.model,
            updated_at=row.updated_at,
        )


Names = Annotated[list[str], Field(max_length=MAX_NAMES)]


class TopicsAccepted(BaseModel):
    """Which of the suggestions are accepted: one at least; the rest is not."""

    accepted_tags: Names = Field([], description="Names of suggested tags, in any letter case")
    accepted_collections: Names = Field([], description="The same of suggested collections")

    model_config = ConfigDict(
        **{
            **documented({"accepted_tags": ["launch"], "accepted_collections": []}),
            "extra": "forbid",
        }
    )

    @model_validator(mode="after")
    def something(self) -> Self:
        """Refuse a body that accepts nothing."""
        if not self.accepted_tags and not self.accepted_collections:
            raise ValueError("accept one suggestion at least; DELETE dismisses all of them")
        return self


class TopicsApplied(BaseModel):
    """What was done with accepted suggestions."""

    topics: TopicsOut
    """The suggestions, decided on."""
    tags: Sequence[str]
    """All tags that the file has now."""
    collections: Sequence[CollectionName]
    """All collections that it is in now."""

    model_config = documented(
        {
            "topics": {
                **EXAMPLE_TOPICS,
                "status": "accepted",
                "user_decisions": {"tags": ["launch"], "collections": []},
            },
            "tags": ["interview", "launch"],
            "collections": [{"id": EXAMPLE_ID, "name": "Spring"}],
        }
    )
