"""Accounts and their refresh tokens."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed, Updated, text_enum


class Role(StrEnum):
    """What an account may do."""

    user = "user"
    admin = "admin"


class User(Keyed, Updated, Base):
    """Somebody who can sign in."""

    __tablename__ = "user"

    email: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str] = mapped_column(String(255))
    full_name: Mapped[str] = mapped_column(String(255), default="")
    role: Mapped[Role] = mapped_column(text_enum(Role), default=Role.user)
    is_active: Mapped[bool] = mapped_column(default=True)
    # Last sequence number given to one of this user's events (db.queries.events).
    event_sequence: Mapped[int] = mapped_column(default=0, server_default="0")
    # Fair sharing (pipelines.schedule): by lane, audio seconds served over the weight.
    served: Mapped[dict[str, float]] = mapped_column(JSONB, default=dict, server_default="{}")
    share_weight: Mapped[float] = mapped_column(default=1.0, server_default="1")

    __table_args__ = (Index("uq_user_email_lower", func.lower(email), unique=True),)


class RefreshToken(Keyed, Dated, Base):
    """One refresh token, stored as a hash. Rotation makes a new row of the same family."""

    __tablename__ = "refresh_token"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    family_id: Mapped[uuid.UUID] = mapped_column(index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
