"""Backfills: one stage over many files, and what became of each of them."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Keyed, Updated, text_enum


class BackfillStage(StrEnum):
    """What is done to each file."""

    retranscribe = "re-transcribe"
    rediarize = "re-diarize"
    reembed = "re-embed"
    """Voiceprints."""
    realign = "re-align"
    """Word times, of the words as they stand."""
    reindex = "re-index"
    """What the stores of search have."""
    resummarize = "re-summarize"
    bring_in = "import"
    """Recordings that lie in an object store, taken in and transcribed."""


class BackfillEngine(StrEnum):
    """Where models answer."""

    inprocess = "inprocess"
    """In the backfill's own actors: at full speed, beside the replicas that serve users."""
    online = "online"
    """In the replicas that serve users: nothing is loaded twice, and users' windows go first."""


class BackfillStop(StrEnum):
    """Why a backfill ended before all was done."""

    audio_budget = "audio_budget"
    model_budget = "model_budget"
    fatal = "fatal"
    """Something without which no file can be done is missing: it says what."""


class ItemState(StrEnum):
    """What became of one file."""

    waiting = "waiting"
    """Also while it is worked on: its task tells."""
    done = "done"
    failed = "failed"
    skipped = "skipped"


class Backfill(Keyed, Updated, Base):
    """One stage over many files. What drives it is a task of its own, one at a time."""

    __tablename__ = "backfill"

    # Who asked for it.
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    stage: Mapped[BackfillStage] = mapped_column(text_enum(BackfillStage))
    engine: Mapped[BackfillEngine] = mapped_column(text_enum(BackfillEngine))
    # Which files, and how each is to be done.
    selection: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # Of stage, models and options: what was done under another one is to be done again.
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    # How far the files have been written down, and when all were.
    cursor: Mapped[str | None] = mapped_column(String(1100))
    selected_at: Mapped[datetime | None]

    actors: Mapped[int | None]
    max_audio_seconds: Mapped[float | None]
    max_model_seconds: Mapped[float | None]
    audio_seconds_per_minute: Mapped[float | None]
    # What was begun so far, and when the next file may be.
    begun_audio_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    next_begin_at: Mapped[datetime | None]

    # A driver that stands down: what is begun under its fence is given back.
    halted_fence: Mapped[int | None] = mapped_column(BigInteger)
    stopped: Mapped[BackfillStop | None] = mapped_column(text_enum(BackfillStop))
    error_type: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]

    __table_args__ = (Index("ix_backfill_created", "created_at", "id"),)


class BackfillItem(Base):
    """One file of a backfill."""

    __tablename__ = "backfill_item"

    backfill_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("backfill.id", ondelete="CASCADE"), primary_key=True
    )
    # From 0, in the order in which they are begun.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    media_file_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("media_file.id", ondelete="SET NULL"), index=True
    )
    # Where a recording lies that is to be taken in, and what is known of it.
    source: Mapped[str | None] = mapped_column(String(1100))
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    state: Mapped[ItemState] = mapped_column(text_enum(ItemState), default=ItemState.waiting)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    task_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("task.id", ondelete="SET NULL"), index=True
    )
    audio_seconds: Mapped[float] = mapped_column(default=0.0)
    # Seconds that its stages took.
    model_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    error_type: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        # Each file once.
        UniqueConstraint("backfill_id", "media_file_id"),
        UniqueConstraint("backfill_id", "source"),
        Index("ix_backfill_item_state", "backfill_id", "state", "number"),
    )
