"""How somebody comes in: sessions, identities at providers, sign-in attempts."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed


class RefreshToken(Keyed, Dated, Base):
    """One refresh token, stored as a hash. Rotation makes a new row of the same family."""

    __tablename__ = "refresh_token"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    family_id: Mapped[uuid.UUID] = mapped_column(index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    user_agent: Mapped[str] = mapped_column(String(255), default="", server_default="")
    address: Mapped[str] = mapped_column(String(45), default="", server_default="")
    # When the family began: its first rows are dropped some day.
    session_started_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ExternalIdentity(Keyed, Dated, Base):
    """An account at an OpenID provider; the pair of issuer and subject is its only key."""

    __tablename__ = "external_identity"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))

    __table_args__ = (UniqueConstraint("issuer", "subject"),)


class SignInAttempt(Dated, Base):
    """An attempt to sign in, for lockout and rate limit; kept for as long as these look back."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    # sha256 of whose password is tried: what people mistype as their address may be a password.
    # Empty: nobody's, only the caller's address counts.
    account: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(45))
    # None: the password is being looked at.
    succeeded: Mapped[bool | None]

    __table_args__ = (
        Index("ix_sign_in_attempt_account", "account", "created_at"),
        Index("ix_sign_in_attempt_address", "address", "created_at"),
    )
