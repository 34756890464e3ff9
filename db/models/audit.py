"""The audit log: what was done with power over others, and with accounts."""

import uuid
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated


class AuditEvent(Dated, Base):
    """Something that happened; append-only. It outlives the accounts and files that it names."""

    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    # None: nobody was signed in.
    actor_id: Mapped[uuid.UUID | None]
    action: Mapped[str] = mapped_column(String(64))
    subject_type: Mapped[str | None] = mapped_column(String(32))
    subject_id: Mapped[str | None] = mapped_column(String(64))
    # Whose it is, where somebody else touches it.
    owner_id: Mapped[uuid.UUID | None]
    address: Mapped[str] = mapped_column(String(45), default="", server_default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")

    __table_args__ = (
        Index("ix_audit_event_created", "created_at", "id"),
        Index("ix_audit_event_actor", "actor_id", "created_at"),
        Index("ix_audit_event_owner", "owner_id", "created_at"),
        Index("ix_audit_event_subject", "subject_id", "created_at"),
    )
