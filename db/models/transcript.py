"""Transcripts: segments with their words, and the speakers of one file."""

import uuid
from typing import Any

from sqlalchemy import REAL, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed


class Transcript(Keyed, Dated, Base):
    """What was said in a file, and how it was found out."""

    __tablename__ = "transcript"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), unique=True
    )
    language: Mapped[str | None] = mapped_column(String(10))
    language_probability: Mapped[float | None]
    # `transcribe` or `translate`
    task: Mapped[str] = mapped_column(String(16))
    word_timing: Mapped[str | None] = mapped_column(String(16))
    diarization: Mapped[str] = mapped_column(String(16))
    # Things the reader should know: no speech found, diarization failed, doubtful windows.
    notes: Mapped[list[str]] = mapped_column(JSONB, default=list)
    models: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # [[start, end, label], ...] with overlaps, as RTTM has them.
    turns: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    exclusive_turns: Mapped[list[Any]] = mapped_column(JSONB, default=list)


class Speaker(Keyed, Dated, Base):
    """A voice of one file."""

    __tablename__ = "speaker"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE")
    )
    label: Mapped[str] = mapped_column(String(32))
    display_name: Mapped[str | None] = mapped_column(String(255))
    speech_seconds: Mapped[float] = mapped_column(default=0.0)
    embedding: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    embedding_model: Mapped[str | None] = mapped_column(String(128))

    __table_args__ = (UniqueConstraint("media_file_id", "label"),)


class Segment(Keyed, Base):
    """A line of a transcript. `words` is [[start, end, word, probability, label], ...]."""

    __tablename__ = "segment"

    transcript_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("transcript.id", ondelete="CASCADE")
    )
    index: Mapped[int]
    start: Mapped[float]
    end: Mapped[float]
    text: Mapped[str]
    speaker_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("speaker.id", ondelete="SET NULL"), index=True
    )
    words: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    avg_logprob: Mapped[float] = mapped_column(default=0.0)
    no_speech_prob: Mapped[float] = mapped_column(default=0.0)
    compression_ratio: Mapped[float] = mapped_column(default=0.0)
    temperature: Mapped[float] = mapped_column(default=0.0)
    doubt: Mapped[str | None] = mapped_column(String(32))

    __table_args__ = (Index("uq_segment_transcript_index", "transcript_id", "index", unique=True),)
