"""Settings that are kept as rows: of one user, and of the installation."""

import uuid
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Updated


class UserSetting(Updated, Base):
    """What a user set in one section; what is left out has its default."""

    __tablename__ = "user_setting"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    section: Mapped[str] = mapped_column(String(64), primary_key=True)
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


class SystemSetting(Updated, Base):
    """What administrators set in one section while the service runs."""

    __tablename__ = "system_setting"

    section: Mapped[str] = mapped_column(String(64), primary_key=True)
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
