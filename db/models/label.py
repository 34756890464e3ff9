"""What users sort their files by: tags, collections and comments."""

import uuid

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Dated, Keyed, Updated


class Tag(Keyed, Dated, Base):
    """A word of one user; the same word in other letter case is the same tag."""

    __tablename__ = "tag"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(50))

    __table_args__ = (Index("uq_tag_user_name", "user_id", func.lower(name), unique=True),)


class FileTag(Dated, Base):
    """A tag on a file of the same user."""

    __tablename__ = "file_tag"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), primary_key=True
    )
    tag_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Collection(Keyed, Updated, Base):
    """A named set of files of one user."""

    __tablename__ = "collection"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (UniqueConstraint("user_id", "name"),)


class CollectionMember(Dated, Base):
    """A file in a collection of the same user."""

    __tablename__ = "collection_member"

    collection_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Comment(Keyed, Updated, Base):
    """A remark on a file, or on a moment of it."""

    __tablename__ = "comment"

    media_file_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_file.id", ondelete="CASCADE")
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str]
    # Seconds from the start of the recording; None: about the whole file.
    timestamp: Mapped[float | None]

    __table_args__ = (Index("ix_comment_file_created", "media_file_id", "created_at"),)
