"""Accounts."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Keyed, Updated, text_enum


class Role(StrEnum):
    """What an account may do."""

    user = "user"
    admin = "admin"


class User(Keyed, Updated, Base):
    """Somebody who can sign in."""

    __tablename__ = "user"

    email: Mapped[str] = mapped_column(String(255))
    # None: this account signs in at a provider only.
    password_hash: Mapped[str | None] = mapped_column(String(255))
    full_name: Mapped[str] = mapped_column(String(255), default="")
    role: Mapped[Role] = mapped_column(text_enum(Role), default=Role.user)
    is_active: Mapped[bool] = mapped_column(default=True)
    last_sign_in_at: Mapped[datetime | None]
    # Last sequence number given to one of this user's events (db.queries.events).
    event_sequence: Mapped[int] = mapped_column(default=0, server_default="0")
    # Fair sharing (pipelines.schedule): by lane, audio seconds served over the weight.
    served: Mapped[dict[str, float]] = mapped_column(JSONB, default=dict, server_default="{}")
    share_weight: Mapped[float] = mapped_column(default=1.0, server_default="1")

    __table_args__ = (Index("uq_user_email_lower", func.lower(email), unique=True),)
