"""Tags of users, and which of their files have them."""

import uuid
from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    UUID,
    ColumnElement,
    ScalarSelect,
    Select,
    any_,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NameTaken, NotFound
from db.models import FileTag, Tag
from db.queries import names

UNIQUE_NAME = "uq_tag_user_name"
IS_UNUSED = ~select(FileTag.tag_id).where(FileTag.tag_id == Tag.id).exists()


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Tags that are this user's."""
    return Tag.user_id == user_id


def _usage() -> ScalarSelect[int]:
    """On how many files a tag is."""
    return (
        select(func.count())
        .select_from(FileTag)
        .where(FileTag.tag_id == Tag.id)
        .correlate(Tag)
        .scalar_subquery()
    )


async def page(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[tuple[Tag, int]], int]:
    """One page of a user's tags with the number of their files, most used first, and all in all."""
    usage = _usage().label("usage")
    rows = await session.execute(
        select(Tag, usage)
        .where(readable_by(user_id))
        .order_by(usage.desc(), func.lower(Tag.name), Tag.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).where(readable_by(user_id)))
    return rows.all(), total or 0


async def names_of(session: AsyncSession, user_id: uuid.UUID, limit: int) -> Sequence[str]:
    """What a user's tags are called, the most used ones first."""
    found = await session.scalars(
        select(Tag.name)
        .where(readable_by(user_id))
        .order_by(_usage().desc(), func.lower(Tag.name))
        .limit(limit)
    )
    return found.all()


async def unused(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Tag], int]:
    """One page of a user's tags that are on no file, by name, and how many there are in all."""
    matching = (readable_by(user_id), IS_UNUSED)
    rows = await session.scalars(
        select(Tag)
        .where(*matching)
        .order_by(func.lower(Tag.name), Tag.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Tag).where(*matching))
    return rows.all(), total or 0


async def remove_unused(session: AsyncSession, user_id: uuid.UUID) -> int:
    """Delete a user's tags that are on no file, and say how many."""
    # In two statements: the second one sees what was committed while the first waited for its
    # locks, and nobody puts a locked tag on a file.
    locked = await session.scalars(
        select(Tag.id).where(readable_by(user_id), IS_UNUSED).order_by(Tag.id).with_for_update()
    )
    removed = await session.scalars(
        delete(Tag)
        .where(Tag.id == any_(literal(locked.all(), ARRAY(UUID))), IS_UNUSED)
        .returning(Tag.id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())


async def add(session: AsyncSession, user_id: uuid.UUID, name: str) -> Tag:
    """Make a tag.

    Raises:
        NameTaken: the user has it already, perhaps in other letter case.
    """
    statement = insert(Tag).values(user_id=user_id, name=name)
    tag: Tag | None = await session.scalar(statement.on_conflict_do_nothing().returning(Tag))
    if tag is None:
        raise NameTaken("tag", name)
    return tag


async def ensure(session: AsyncSession, user_id: uuid.UUID, name: str) -> Tag:
    """The user's tag of this name, made where there is none; locked until the transaction ends."""
    statement = insert(Tag).values(user_id=user_id, name=name)
    # An update that changes nothing: it locks the row, so that nobody deletes it meanwhile.
    found = statement.on_conflict_do_update(
        index_elements=[Tag.user_id, func.lower(Tag.name)], set_={"name": Tag.name}
    ).returning(Tag)
    return (await session.scalars(found)).one()


async def rename(
    session: AsyncSession, user_id: uuid.UUID, tag_id: uuid.UUID, name: str
) -> tuple[Tag, int]:
    """Give a tag another name; the tag and the number of its files.

    Raises:
        NotFound: there is none that this user may see.
        NameTaken: the user has another tag of this name.
    """
    async with names.unless_taken(session, UNIQUE_NAME, "tag", name):
        renamed = await session.execute(
            update(Tag)
            .where(Tag.id == tag_id, readable_by(user_id))
            .values(name=name)
            .returning(Tag, _usage())
            .execution_options(synchronize_session=False)
        )
    row = renamed.one_or_none()
    if row is None:
        raise NotFound("tag", str(tag_id))
    return row


def files(tag_id: uuid.UUID) -> Select[uuid.UUID]:
    """Files that have a tag, as a query: they may be many."""
    return select(FileTag.media_file_id).where(FileTag.tag_id == tag_id)


async def remove(
    session: AsyncSession, user_id: uuid.UUID, tag_id: uuid.UUID
) -> Sequence[uuid.UUID]:
    """Delete a tag, also from the files that have it; says from which.

    Raises:
        NotFound: there is none that this user may see.
    """
    # Locked first: nobody puts it on a file meanwhile.
    mine = select(Tag.id).where(Tag.id == tag_id, readable_by(user_id)).with_for_update()
    if await session.scalar(mine) is None:
        raise NotFound("tag", str(tag_id))
    had_it = await session.scalars(
        delete(FileTag).where(FileTag.tag_id == tag_id).returning(FileTag.media_file_id)
    )
    found = had_it.all()
    await session.execute(delete(Tag).where(Tag.id == tag_id))
    return found


async def count_on(session: AsyncSession, file_id: uuid.UUID) -> int:
    """How many tags a file has."""
    count = select(func.count()).select_from(FileTag).where(FileTag.media_file_id == file_id)
    return await session.scalar(count) or 0


async def put(session: AsyncSession, tag_id: uuid.UUID, file_id: uuid.UUID) -> bool:
    """Put a tag on a file, both of the same user and locked; whether it was not there before."""
    statement = insert(FileTag).values(media_file_id=file_id, tag_id=tag_id)
    added = statement.on_conflict_do_nothing().returning(FileTag.tag_id)
    return await session.scalar(added) is not None


async def take(session: AsyncSession, tag_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Take a tag off a file, both of the same user.

    Raises:
        NotFound: the file does not have it.
    """
    statement = delete(FileTag).where(FileTag.media_file_id == file_id, FileTag.tag_id == tag_id)
    if await session.scalar(statement.returning(FileTag.tag_id)) is None:
        raise NotFound("tag", str(tag_id))
