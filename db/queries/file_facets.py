"""What values a user's files have: what a list can be narrowed by."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Float, case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import MediaFile, Speaker, Tag

MAX_VALUES = 200
"""Of each kind; the most frequent ones, as nobody chooses from longer lists."""

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Facets:
    """Values that occur, most frequent first, and the bounds of numbers; None: there are none."""

    values: Mapping[str, Sequence[str]]
    bounds: Mapping[str, Bounds]
    tags: Sequence[str] = field(default=())
    speakers: Sequence[str] = field(default=())


VALUES: Mapping[str, Any] = {
    "formats": MediaFile.probe["container"].astext,
    "audio_codecs": MediaFile.probe["audio_codec"].astext,
    "video_codecs": MediaFile.media_metadata["VideoCodec"].astext,
    "content_types": MediaFile.content_type,
    "languages": MediaFile.language,
}


def _number(name: str) -> Any:
    """A tag of ExifTool's as a number; what is no number is not known."""
    tag = MediaFile.media_metadata[name]
    return case((func.jsonb_typeof(tag) == "number", tag.cast(Float)))


NUMBERS: Sequence[Mapping[str, Any]] = (
    # Both ends are ends of an index.
    {"duration": MediaFile.duration, "file_size": MediaFile.size_bytes},
    {"width": _number("VideoWidth"), "height": _number("VideoHeight")},
)


async def of_user(session: AsyncSession, user_id: uuid.UUID) -> Facets:
    """What this user's files have, by two passes over them."""
    found = await _values(session, user_id)
    tags = await session.scalars(
        select(Tag.name)
        .where(Tag.user_id == user_id)
        .order_by(func.lower(Tag.name))
        .limit(MAX_VALUES)
    )
    speakers = await session.scalars(
        select(Speaker.display_name)
        .where(Speaker.user_id == user_id, Speaker.display_name.is_not(None))
        .group_by(Speaker.display_name)
        .order_by(func.count().desc(), Speaker.display_name)
        .limit(MAX_VALUES)
    )
    bounds: dict[str, Bounds] = {}
    for numbers in NUMBERS:
        bounds |= await _bounds(session, user_id, numbers)
    return Facets(found, bounds, tags.all(), [name for name in speakers if name])


async def _values(session: AsyncSession, user_id: uuid.UUID) -> dict[str, list[str]]:
    known = (
        select(*(value.label(name) for name, value in VALUES.items()))
        .where(MediaFile.user_id == user_id)
        .subquery()
    )
    columns = [known.c[name] for name in VALUES]
    # A bit for each column that a row does not count by.
    left_out = func.grouping(*columns)
    counted = (
        select(
            left_out.label("left_out"),
            func.coalesce(*columns).label("value"),
            func.row_number()
            .over(partition_by=left_out, order_by=(func.count().desc(), func.coalesce(*columns)))
            .label("rank"),
        )
        .group_by(func.grouping_sets(*(tuple_(column) for column in columns)))
        .having(func.coalesce(*columns).is_not(None))
        .subquery()
    )
    rows = await session.execute(
        select(counted.c.left_out, counted.c.value)
        .where(counted.c.rank <= MAX_VALUES)
        .order_by(counted.c.left_out, counted.c.rank)
    )
    every = 2 ** len(columns) - 1
    names = {every - 2**place: name for place, name in enumerate(reversed(list(VALUES)))}
    found: dict[str, list[str]] = {name: [] for name in VALUES}
    for bits, value in rows:
        found[names[bits]].append(value)
    return found


async def _bounds(
    session: AsyncSession, user_id: uuid.UUID, numbers: Mapping[str, Any]
) -> dict[str, Bounds]:
    ends = [end(number) for number in numbers.values() for end in (func.min, func.max)]
    row = (await session.execute(select(*ends).where(MediaFile.user_id == user_id))).one()
    return {name: (row[2 * place], row[2 * place + 1]) for place, name in enumerate(numbers)}
