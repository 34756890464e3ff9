"""What users have used: the ledger that costs are reckoned from."""

import uuid
from enum import StrEnum

from sqlalchemy import BigInteger, Identity, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, text_enum


class UsageMeasure(StrEnum):
    """What is counted."""

    audio_seconds = "audio_seconds"
    """Of recordings whose transcripts were published."""
    model_seconds = "model_seconds"
    """That models were busy with a stage: a batch's time is shared among its items."""
    prompt_tokens = "prompt_tokens"
    completion_tokens = "completion_tokens"
    calls = "calls"
    """Of language models."""


class UsageEntry(Dated, Base):
    """Something that a completed task used; append-only, written in the transaction that publishes.

    It outlives the account, the file and the task that it names: no foreign keys.
    """

    __tablename__ = "usage_entry"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[uuid.UUID]
    task_id: Mapped[uuid.UUID]
    # Names as they were: kinds, lanes and stages of later versions need no migration here.
    kind: Mapped[str] = mapped_column(String(32))
    lane: Mapped[str] = mapped_column(String(32))
    measure: Mapped[UsageMeasure] = mapped_column(text_enum(UsageMeasure))
    # Empty where it is the task's as a whole.
    stage: Mapped[str] = mapped_column(String(32), default="", server_default="")
    model: Mapped[str] = mapped_column(String(200), default="", server_default="")
    amount: Mapped[float]

    __table_args__ = (
        # A task is published once, and counted once.
        UniqueConstraint("task_id", "measure", "stage", "model"),
        Index("ix_usage_entry_user_created", "user_id", "created_at"),
        Index("ix_usage_entry_created", "created_at"),
    )
