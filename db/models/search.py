"""What the stores that search have of each file."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, text_enum
from db.models.outbox import Destination


class IndexedFile(Base):
    """A file as a store has it: written when the store has told that it has it."""

    __tablename__ = "indexed_file"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), primary_key=True
    )
    destination: Mapped[Destination] = mapped_column(text_enum(Destination), primary_key=True)
    # Which index or space of which store, and how transcripts were cut: another one has nothing of
    # it yet.
    place: Mapped[str] = mapped_column(String(150), primary_key=True)
    transcript_version: Mapped[int]
    passages: Mapped[int]
    indexed_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_indexed_file_place", "destination", "place"),)
