"""What is still to be done in another store, and answers that a repeated request gets again."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, String, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, text_enum


class Destination(StrEnum):
    """The store that an entry is for."""

    objects = "objects"
    vectors = "vectors"
    """Voiceprints in the vector store."""
    keywords = "keywords"
    """Passages in the keyword store."""
    passages = "passages"
    """Passages in the vector store."""


class OutboxEntry(Dated, Base):
    """Work on another store, written in the transaction that makes it necessary.

    An entry is deleted when its work is done. `subject` is unique within a destination, so that the
    same work is noted once.
    """

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    destination: Mapped[Destination] = mapped_column(text_enum(Destination))
    subject: Mapped[str] = mapped_column(String(500))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # Grows whenever it is noted or taken: the version of the entry that somebody works on.
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    # Since it was noted last, one after the other.
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    last_error: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("destination", "subject"),
        Index("ix_outbox_due", "destination", "due_at"),
    )


class IdempotencyKey(Dated, Base):
    """The answer to a request that made work, kept for its repetition."""

    __tablename__ = "idempotency_key"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    # sha256 of method, path and content: the same key with another request is refused.
    fingerprint: Mapped[str] = mapped_column(String(64))
    status_code: Mapped[int]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
