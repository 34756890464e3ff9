"""Language models: where users reach them, what they are asked with, and what came of it."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from cluster.settings import LlmProvider
from db.base import Base, Dated, Keyed, Updated, text_enum


class LlmConfiguration(Keyed, Updated, Base):
    """A language model that a user set up; that of nobody is the installation's default."""

    __tablename__ = "llm_configuration"

    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    provider: Mapped[LlmProvider] = mapped_column(text_enum(LlmProvider))
    model: Mapped[str] = mapped_column(String(200))
    # None: the provider's own.
    base_url: Mapped[str | None] = mapped_column(String(500))
    # Encrypted (cluster.encryption), bound to this row's id.
    api_key: Mapped[str | None]
    context_tokens: Mapped[int] = mapped_column(default=8192)
    temperature: Mapped[float] = mapped_column(default=0.3)
    # Of all of one user's at most one.
    is_active: Mapped[bool] = mapped_column(default=False, server_default="false")
    last_tested_at: Mapped[datetime | None]
    test_status: Mapped[str | None] = mapped_column(String(20))
    test_message: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("user_id", "name", postgresql_nulls_not_distinct=True),
        Index(
            "uq_llm_configuration_active",
            "user_id",
            unique=True,
            postgresql_where=text("is_active"),
            postgresql_nulls_not_distinct=True,
        ),
    )


class ContentType(StrEnum):
    """Kinds of recordings that are summarised differently; the names are the seed's."""

    meeting = "meeting"
    interview = "interview"
    podcast = "podcast"
    documentary = "documentary"
    general = "general"


class SummaryPrompt(Keyed, Updated, Base):
    """A user's own prompt for summaries; the system's are code (pipelines.language.prompts)."""

    __tablename__ = "summary_prompt"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(default="", server_default="")
    content_type: Mapped[ContentType] = mapped_column(text_enum(ContentType))
    prompt_text: Mapped[str]

    __table_args__ = (UniqueConstraint("user_id", "name"),)


class Summary(Keyed, Dated, Base):
    """One summary of a file; older ones stay, numbered per file."""

    __tablename__ = "summary"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE")
    )
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    version: Mapped[int]
    # Of the transcript that it is of; another one since, and the summary is stale.
    transcript_version: Mapped[int]
    provider: Mapped[LlmProvider] = mapped_column(text_enum(LlmProvider))
    model: Mapped[str] = mapped_column(String(200))
    # Of the prompt, which may be gone.
    prompt_id: Mapped[uuid.UUID | None]
    prompt_name: Mapped[str] = mapped_column(String(255))
    # In which it is written.
    language: Mapped[str] = mapped_column(String(10))
    # pipelines.language.bluf.Bluf
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # What was noted of each section, with its times; one section: the whole transcript.
    sections: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    action_items: Mapped[int] = mapped_column(default=0)
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    calls: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    # All that it says, a line each, for search; and which words occur in it (db.vocabulary).
    text: Mapped[str]
    searchable: Mapped[str] = mapped_column(TSVECTOR)

    __table_args__ = (
        UniqueConstraint("media_file_id", "version"),
        Index("ix_summary_user_created", "user_id", "created_at", "id"),
        Index("ix_summary_searchable", "searchable", postgresql_using="gin"),
    )


class SuggestionState(StrEnum):
    """What a person did with suggestions."""

    pending = "pending"
    accepted = "accepted"
    rejected = "rejected"


class TopicSuggestion(Updated, Base):
    """Tags and collections that a language model suggests for a file."""

    __tablename__ = "topic_suggestion"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    transcript_version: Mapped[int]
    provider: Mapped[LlmProvider] = mapped_column(text_enum(LlmProvider))
    model: Mapped[str] = mapped_column(String(200))
    # [{name, confidence, rationale}, ...], surest first
    tags: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    collections: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    state: Mapped[SuggestionState] = mapped_column(
        text_enum(SuggestionState), default=SuggestionState.pending
    )
    # What was accepted: {tags: [name, ...], collections: [name, ...]}
    decisions: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")


class SpeakerPrediction(Keyed, Dated, Base):
    """Whom a language model takes a speaker for, from what is said; a suggestion, nothing more."""

    __tablename__ = "speaker_prediction"

    speaker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("speaker.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(255))
    confidence: Mapped[float]
    reasoning: Mapped[str]
    # [{kind, quote, start}, ...]: what was said, and when
    evidence: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    transcript_version: Mapped[int]
    provider: Mapped[LlmProvider] = mapped_column(text_enum(LlmProvider))
    model: Mapped[str] = mapped_column(String(200))

    __table_args__ = (UniqueConstraint("speaker_id", "name"),)
