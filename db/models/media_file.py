"""Media files and the uploads that make them."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed, Updated, text_enum


class FileStatus(StrEnum):
    """How far a file is; follows from its latest transcription task."""

    queued = "queued"
    processing = "processing"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class MediaFile(Keyed, Updated, Base):
    """What a user uploaded, with what its header and its decoding told."""

    __tablename__ = "media_file"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    filename: Mapped[str] = mapped_column(String(255))
    title: Mapped[str | None] = mapped_column(String(255))
    author: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None]
    # Where it was fetched from; None: it was uploaded.
    source_url: Mapped[str | None] = mapped_column(String(2048))
    content_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    object_key: Mapped[str] = mapped_column(String(500))
    status: Mapped[FileStatus] = mapped_column(text_enum(FileStatus), default=FileStatus.queued)
    duration: Mapped[float | None]
    language: Mapped[str | None] = mapped_column(String(10))
    probe: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    media_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict)
    waveform: Mapped[list[float] | None] = mapped_column(JSONB)
    thumbnail_key: Mapped[str | None] = mapped_column(String(500))
    error_type: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    completed_at: Mapped[datetime | None]

    __table_args__ = (
        # The same bytes twice are refused, unless the first try came to nothing.
        Index(
            "uq_media_file_user_sha256",
            "user_id",
            "sha256",
            unique=True,
            postgresql_where=text("status NOT IN ('failed', 'cancelled')"),
        ),
        # One for each way to sort a list; the id settles ties. The first one also holds what most
        # filters ask, so that files are counted without their rows.
        Index(
            "ix_media_file_user_created",
            "user_id",
            "created_at",
            "id",
            postgresql_include=["status", "duration", "size_bytes", "content_type", "language"],
        ),
        Index("ix_media_file_user_filename", "user_id", "filename", "id"),
        Index("ix_media_file_user_size", "user_id", "size_bytes", "id"),
        # Backwards, what is not known yet comes last.
        Index("ix_media_file_user_duration", "user_id", text("duration NULLS FIRST"), "id"),
        Index("ix_media_file_user_completed", "user_id", text("completed_at NULLS FIRST"), "id"),
        Index("ix_media_file_user_status", "user_id", "status", "created_at", "id"),
        # Of all users: administrators' lists, and what retention looks at.
        Index("ix_media_file_created", "created_at", "id"),
        # Whether an address was fetched before.
        Index(
            "ix_media_file_user_source",
            "user_id",
            "source_url",
            postgresql_where=text("source_url IS NOT NULL"),
        ),
        # What a search for a part of a name looks at.
        Index(
            "ix_media_file_names",
            "title",
            "filename",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops", "filename": "gin_trgm_ops"},
        ),
    )


class UploadState(StrEnum):
    """How far an upload in parts is."""

    open = "open"
    completed = "completed"
    cancelled = "cancelled"


class Upload(Keyed, Dated, Base):
    """An upload in parts, which ends as a media file."""

    __tablename__ = "upload"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    filename: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    part_bytes: Mapped[int]
    sha256: Mapped[str | None] = mapped_column(String(64))
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    state: Mapped[UploadState] = mapped_column(text_enum(UploadState), default=UploadState.open)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    media_file_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("media_file.id", ondelete="SET NULL")
    )


class UploadPart(Dated, Base):
    """One part that has arrived."""

    __tablename__ = "upload_part"

    upload_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
