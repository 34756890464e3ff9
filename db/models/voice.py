"""Voices across recordings: profiles of people, what they are known by, matches, clusters."""

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    REAL,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed, Updated, text_enum


class SpeakerProfile(Keyed, Updated, Base):
    """A person of one user, across files; the same name in other letter case is the same person."""

    __tablename__ = "speaker_profile"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (
        Index("uq_speaker_profile_user_name", "user_id", func.lower(name), unique=True),
    )


class ProfileVoiceprint(Updated, Base):
    """What a person sounds like to one model: the mean of their verified voices and enrolments.

    Derived: `pipelines.speakers.centroids` makes it from speakers and enrolments.
    """

    __tablename__ = "profile_voiceprint"

    profile_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker_profile.id", ondelete="CASCADE"), primary_key=True
    )
    embedding_model: Mapped[str] = mapped_column(String(128), primary_key=True)
    # Of length 1.
    embedding: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    # Of how many voices and enrolments, and how many seconds of speech alone they have.
    samples: Mapped[int]
    clean_seconds: Mapped[float]


class Enrolment(Keyed, Dated, Base):
    """A clip in which a person speaks alone, and its voiceprint once it is computed."""

    __tablename__ = "enrolment"

    profile_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker_profile.id", ondelete="CASCADE"), index=True
    )
    filename: Mapped[str] = mapped_column(String(255))
    object_key: Mapped[str] = mapped_column(String(500))
    size_bytes: Mapped[int]
    clean_seconds: Mapped[float] = mapped_column(default=0.0)
    # Of length 1; None: not computed yet.
    embedding: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    embedding_model: Mapped[str | None] = mapped_column(String(128))


class SpeakerMatch(Dated, Base):
    """Two voices of different files of one user that sound alike; symmetric, stored once.

    A fact about voices: whom the voices belong to is asked when a match is read.
    """

    __tablename__ = "speaker_match"

    first_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker.id", ondelete="CASCADE"), primary_key=True
    )
    second_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    # Cosine, -1..1.
    similarity: Mapped[float] = mapped_column(REAL)

    __table_args__ = (CheckConstraint("first_id < second_id", name="in_order"),)


class ProfileMatch(Dated, Base):
    """A voice that sounds like a person."""

    __tablename__ = "profile_match"

    speaker_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker.id", ondelete="CASCADE"), primary_key=True
    )
    profile_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker_profile.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    # Cosine, -1..1.
    similarity: Mapped[float] = mapped_column(REAL)


class ProfileRejection(Dated, Base):
    """A person said that a voice is not this profile's: it is never suggested again."""

    __tablename__ = "profile_rejection"

    speaker_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker.id", ondelete="CASCADE"), primary_key=True
    )
    profile_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker_profile.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class CannotLink(Dated, Base):
    """A person said that two voices are not the same one's."""

    __tablename__ = "cannot_link"

    first_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker.id", ondelete="CASCADE"), primary_key=True
    )
    second_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker.id", ondelete="CASCADE"), primary_key=True, index=True
    )

    __table_args__ = (CheckConstraint("first_id < second_id", name="in_order"),)


class SpeakerCluster(Keyed, Updated, Base):
    """Voices without a name, of several files, that seem to be one person's."""

    __tablename__ = "speaker_cluster"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    label: Mapped[str | None] = mapped_column(String(255))
    embedding_model: Mapped[str] = mapped_column(String(128))
    # Whether a person named, split or merged it: clustering anew leaves it as it is.
    kept: Mapped[bool] = mapped_column(default=False, server_default="false")

    __table_args__ = (Index("ix_speaker_cluster_user", "user_id", "created_at"),)


class SpeakerCollection(Keyed, Updated, Base):
    """A named set of profiles of one user."""

    __tablename__ = "speaker_collection"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (UniqueConstraint("user_id", "name"),)


class SpeakerCollectionMember(Dated, Base):
    """A profile in a speaker collection of the same user."""

    __tablename__ = "speaker_collection_member"

    collection_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker_collection.id", ondelete="CASCADE"), primary_key=True
    )
    profile_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("speaker_profile.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ChangeAction(StrEnum):
    """What was done to speakers; new members are added, old ones keep their meaning."""

    named = "named"
    accepted = "accepted"
    rejected = "rejected"
    propagated = "propagated"
    unassigned = "unassigned"
    auto_accepted = "auto_accepted"
    undone = "undone"


class SpeakerChange(Keyed, Dated, Base):
    """One change of who speakers are, which can be undone while nobody has changed them since."""

    __tablename__ = "speaker_change"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    action: Mapped[ChangeAction] = mapped_column(text_enum(ChangeAction))
    # By speaker id: {"profile_id", "display_name", "verified", "name_source"}.
    before: Mapped[dict[str, Any]] = mapped_column(JSONB)
    after: Mapped[dict[str, Any]] = mapped_column(JSONB)
    undone: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    __table_args__ = (
        Index("ix_speaker_change_user", "user_id", "created_at"),
        # Whether anything was ever decided about a speaker.
        Index("ix_speaker_change_after", "after", postgresql_using="gin"),
    )
