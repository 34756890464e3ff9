"""Transcripts: segments with their words, and the speakers of one file."""

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import REAL, ForeignKey, Index, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed, text_enum


class Transcript(Keyed, Dated, Base):
    """What was said in a file, and how it was found out."""

    __tablename__ = "transcript"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), unique=True
    )
    # Grows with every edit, a speaker's new name included, and when the file is computed anew: what
    # `If-Match` compares, and what is made of a transcript is kept by.
    version: Mapped[int] = mapped_column(default=1, server_default="1")
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
    # Whether a person gave words to another speaker: then the turns are not those of the words.
    reassigned: Mapped[bool] = mapped_column(default=False, server_default="false")
    # Which words occur in it (db.vocabulary): what the filter of lists asks.
    vocabulary: Mapped[str] = mapped_column(TSVECTOR, server_default="")

    __table_args__ = (Index("ix_transcript_vocabulary", "vocabulary", postgresql_using="gin"),)


class NameSource(StrEnum):
    """Where a speaker's name comes from."""

    person = "person"
    voice = "voice"


class Speaker(Keyed, Dated, Base):
    """A voice of one file."""

    __tablename__ = "speaker"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE")
    )
    label: Mapped[str] = mapped_column(String(32))
    display_name: Mapped[str | None] = mapped_column(String(255))
    name_source: Mapped[NameSource | None] = mapped_column(text_enum(NameSource))
    # Who it is, across files.
    profile_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("speaker_profile.id", ondelete="SET NULL"), index=True
    )
    # Whether a person said, or confirmed, who it is.
    verified: Mapped[bool] = mapped_column(default=False, server_default="false")
    speech_seconds: Mapped[float] = mapped_column(default=0.0)
    # Seconds in which nobody else speaks: how far the voiceprint is to be trusted.
    clean_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    # The voiceprint, of length 1.
    embedding: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    embedding_model: Mapped[str | None] = mapped_column(String(128))
    # Whether a person had it forgotten: it is not computed again.
    voiceprint_erased: Mapped[bool] = mapped_column(default=False, server_default="false")
    cluster_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("speaker_cluster.id", ondelete="SET NULL"), index=True
    )
    # Cosine to the cluster's mean.
    cluster_similarity: Mapped[float | None] = mapped_column(REAL)

    __table_args__ = (
        UniqueConstraint("media_file_id", "label"),
        # A list of all of a user's, newest first.
        Index("ix_speaker_user_created", "user_id", "created_at"),
        # Whom nobody has named yet.
        Index(
            "ix_speaker_user_unnamed",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("display_name IS NULL"),
        ),
        # In whose files somebody speaks, whichever of the two they go by.
        Index("ix_speaker_user_display_name", "user_id", func.lower(display_name)),
        Index("ix_speaker_user_label", "user_id", func.lower(label)),
    )


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
    # Whether a person changed it.
    edited: Mapped[bool] = mapped_column(default=False, server_default="false")

    __table_args__ = (
        # Looked at when a statement ends: an edit moves all later lines by one in one statement.
        UniqueConstraint(
            "transcript_id",
            "index",
            name="uq_segment_transcript_index",
            deferrable=True,
            initially="IMMEDIATE",
        ),
    )


class TranscriptEdit(Keyed, Dated, Base):
    """One edit of a transcript: the segments (or the speaker) before and after it."""

    __tablename__ = "transcript_edit"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE")
    )
    # Who; the edit stays when the account goes.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("user.id", ondelete="SET NULL"), index=True
    )
    # The transcript's version that it made.
    version: Mapped[int]
    action: Mapped[str] = mapped_column(String(32))
    before: Mapped[Any] = mapped_column(JSONB)
    after: Mapped[Any] = mapped_column(JSONB)

    __table_args__ = (Index("ix_transcript_edit_file", "media_file_id", "version"),)


class Analytics(Dated, Base):
    """Figures about a conversation, of one version of its transcript."""

    __tablename__ = "analytics"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), primary_key=True
    )
    transcript_version: Mapped[int]
    # The version of the definitions.
    schema_version: Mapped[str] = mapped_column(String(16))
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)
