"""The declarative base: constraint names, UUID keys, UTC moments."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import DateTime, Enum, MetaData, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Named constraints can be dropped by a migration; PostgreSQL's own names differ between versions.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain dict
        datetime: DateTime(timezone=True),
        uuid.UUID: UUID(as_uuid=True),
    }


def text_enum(enum: type[StrEnum]) -> Enum:
    """A StrEnum kept as text with a check, so that a new member needs no ALTER TYPE."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
        name=enum.__name__.lower(),
    )


class Keyed:
    """A random UUID key, which says nothing about how many rows there are."""

    id: Mapped[uuid.UUID] = mapped_column(
        primary_key=True, default=uuid.uuid4, server_default=text("gen_random_uuid()")
    )


class Dated:
    """When the row was made, by the database's clock."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Updated(Dated):
    """When the row was made and last changed."""

    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
