"""Tasks (the queue itself), their events, and the results of stages that are done."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed, Updated, text_enum


class TaskState(StrEnum):
    """Where a task stands. Changed only by pipelines.task_state.transition."""

    queued = "queued"
    running = "running"
    cancelling = "cancelling"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class TaskKind(StrEnum):
    """What a task does."""

    transcription = "transcription"
    download = "download"
    playlist = "playlist"
    voiceprints = "voiceprints"
    """The voices of a file, embedded anew."""
    enrolment = "enrolment"
    """A clip of a person, embedded."""
    clustering = "clustering"
    """The unnamed voices of a user, grouped."""
    summarization = "summarization"
    """A summary of a file, by a language model."""
    speaker_identification = "speaker_identification"
    """Who the speakers of a file may be, by what is said."""
    topic_extraction = "topic_extraction"
    """Tags and collections for a file."""
    search_index = "search_index"
    """What the stores that search have, made anew or mended."""
    file_index = "file_index"
    """What they have of one file, brought there."""
    alignment = "alignment"
    """The words of a file, timed anew."""
    backfill = "backfill"
    """One of these over many files: what drives the files' own tasks."""


class Lane(StrEnum):
    """Who goes first: live before interactive before bulk."""

    live = "live"
    interactive = "interactive"
    bulk = "bulk"


class Task(Keyed, Updated, Base):
    """One requested run of a plan. The row is the queue entry; Ray holds nothing of it."""

    __tablename__ = "task"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    media_file_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), index=True
    )
    # The batch that it belongs to.
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("task.id", ondelete="CASCADE"), index=True
    )
    backfill_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("backfill.id", ondelete="SET NULL")
    )
    # Whether only the backfill that made it claims it: ordinary runners leave it alone.
    reserved: Mapped[bool] = mapped_column(default=False, server_default="false")
    kind: Mapped[TaskKind] = mapped_column(text_enum(TaskKind))
    state: Mapped[TaskState] = mapped_column(text_enum(TaskState), default=TaskState.queued)
    lane: Mapped[Lane] = mapped_column(text_enum(Lane), default=Lane.interactive)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    audio_seconds: Mapped[float] = mapped_column(default=0.0)

    attempt: Mapped[int] = mapped_column(default=0)
    # Grows at every claim; a write that names an older fence changes nothing.
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(255))
    lease_expires_at: Mapped[datetime | None]
    run_after: Mapped[datetime] = mapped_column(server_default=func.now())

    stage: Mapped[str | None] = mapped_column(String(32))
    progress: Mapped[float] = mapped_column(default=0.0)
    eta_seconds: Mapped[float | None]
    # Seconds that each stage took, in the attempt that completed.
    timings: Mapped[dict[str, float]] = mapped_column(JSONB, default=dict, server_default="{}")
    # Seconds that models were busy in attempts that ended before, by stage: their results are kept.
    busy_seconds: Mapped[dict[str, float]] = mapped_column(JSONB, default=dict, server_default="{}")
    # What came of it, beyond the rows it wrote.
    result: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    error_type: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_task_user_created", "user_id", "created_at"),
        # Filters of lists: what few of many tasks are is found, and counted, without the others.
        Index("ix_task_user_state", "user_id", "state", "created_at"),
        Index("ix_task_user_kind", "user_id", "kind", "created_at"),
        Index("ix_task_created", "created_at"),
        # What a claim looks at: only work that is not over.
        Index(
            "ix_task_claim",
            "state",
            "run_after",
            postgresql_where=text("state IN ('queued', 'running', 'cancelling')"),
        ),
        # The heads of the queue: the oldest of each user and lane.
        Index(
            "ix_task_waiting",
            "user_id",
            "lane",
            "created_at",
            "id",
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_task_backfill",
            "backfill_id",
            "kind",
            "created_at",
            postgresql_where=text("backfill_id IS NOT NULL"),
        ),
        # How much has been done lately.
        Index(
            "ix_task_completed",
            "finished_at",
            postgresql_where=text("state = 'completed'"),
        ),
    )


class QueueClock(Base):
    """The one row whose lock makes claims follow each other, with what their order needs."""

    __tablename__ = "queue_clock"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # By lane, weighted audio seconds: where somebody starts who had nothing to do until now.
    virtual_time: Mapped[dict[str, float]] = mapped_column(JSONB, default=dict)
    # By lane: how often in a row its waiting tasks were passed over.
    passed: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class TaskEvent(Dated, Base):
    """Something that a user's clients are told; append-only, numbered per user without gaps."""

    __tablename__ = "task_event"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(BigInteger)
    # An event outlives what it is about: that a file was deleted is an event too.
    task_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    media_file_id: Mapped[uuid.UUID | None]
    type: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    __table_args__ = (
        UniqueConstraint("user_id", "sequence"),
        # What is swept by age.
        Index("ix_task_event_created", "created_at"),
    )


class StageResult(Dated, Base):
    """A checkpoint: what a stage made of one part of a file, under a fingerprint of its inputs."""

    __tablename__ = "stage_result"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), primary_key=True
    )
    stage: Mapped[str] = mapped_column(String(32), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes]
