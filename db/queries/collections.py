"""Collections of users, and the files that are in them."""

import uuid
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NameTaken, NotFound
from db.models import Collection, CollectionMember, MediaFile
from db.queries import media_files, names

UNIQUE_NAME = "uq_collection_user_id_name"

Counted = tuple[Collection, int]
"""A collection, and how many files are in it."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Collections that are this user's."""
    return Collection.user_id == user_id


def _media_count() -> ScalarSelect[int]:
    """How many files are in a collection."""
    return (
        select(func.count())
        .select_from(CollectionMember)
        .where(CollectionMember.collection_id == Collection.id)
        .correlate(Collection)
        .scalar_subquery()
    )


async def page(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Counted], int]:
    """One page of a user's collections by name, and how many there are in all."""
    rows = await session.execute(
        select(Collection, _media_count())
        .where(readable_by(user_id))
        .order_by(Collection.name, Collection.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).where(readable_by(user_id)))
    return rows.all(), total or 0


async def names_of(session: AsyncSession, user_id: uuid.UUID, limit: int) -> Sequence[str]:
    """What a user's collections are called, those with the most files first."""
    found = await session.scalars(
        select(Collection.name)
        .where(readable_by(user_id))
        .order_by(_media_count().desc(), Collection.name)
        .limit(limit)
    )
    return found.all()


async def ensure(session: AsyncSession, user_id: uuid.UUID, name: str) -> uuid.UUID:
    """The user's collection of this name, made where there is none; it stays until the end.

    One in another letter case will do, the oldest of them first.
    """
    called = select(Collection.id).where(
        readable_by(user_id), func.lower(Collection.name) == func.lower(name)
    )
    there = (
        called.order_by((Collection.name == name).desc(), Collection.created_at, Collection.id)
        .limit(1)
        .with_for_update(read=True, key_share=True)
    )
    if (found := await session.scalar(there)) is not None:
        return found
    statement = insert(Collection).values(user_id=user_id, name=name, description="")
    # An update that changes nothing: it locks the row, so that nobody deletes it meanwhile.
    made = statement.on_conflict_do_update(
        index_elements=[Collection.user_id, Collection.name], set_={"name": Collection.name}
    ).returning(Collection.id)
    return (await session.scalars(made)).one()


async def get(session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID) -> Counted:
    """One collection.

    Raises:
        NotFound: there is none that this user may see.
    """
    found = await session.execute(
        select(Collection, _media_count())
        .where(Collection.id == collection_id, readable_by(user_id))
        .execution_options(populate_existing=True)
    )
    return _found(found.one_or_none(), collection_id)


def _found(row: Counted | None, collection_id: uuid.UUID) -> Counted:
    if row is None:
        raise NotFound("collection", str(collection_id))
    return row


async def require(
    session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID, *, lock: bool = False
) -> None:
    """See that a collection is there; `lock` keeps it there until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(Collection.id).where(Collection.id == collection_id, readable_by(user_id))
    if lock:
        query = query.with_for_update(read=True, key_share=True)
    if await session.scalar(query) is None:
        raise NotFound("collection", str(collection_id))


async def add(session: AsyncSession, user_id: uuid.UUID, name: str, description: str) -> Collection:
    """Make a collection.

    Raises:
        NameTaken: the user has another one of this name, however close the race.
    """
    statement = insert(Collection).values(user_id=user_id, name=name, description=description)
    made: Collection | None = await session.scalar(
        statement.on_conflict_do_nothing().returning(Collection)
    )
    if made is None:
        raise NameTaken("collection", name)
    return made


async def change(
    session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID, changes: Mapping[str, str]
) -> Counted:
    """Change the name or the description.

    Raises:
        NotFound: there is none that this user may see.
        NameTaken: the user has another one of this name.
    """
    async with names.unless_taken(session, UNIQUE_NAME, "collection", changes.get("name", "")):
        changed = await session.execute(
            update(Collection)
            .where(Collection.id == collection_id, readable_by(user_id))
            .values(**changes)
            .returning(Collection, _media_count())
            .execution_options(synchronize_session=False)
        )
    return _found(changed.one_or_none(), collection_id)


async def remove(
    session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID
) -> Sequence[uuid.UUID]:
    """Delete a collection; its files stay, and it says which they are.

    Raises:
        NotFound: there is none that this user may see.
    """
    # Locked first: nobody puts a file into it meanwhile.
    mine = select(Collection.id).where(Collection.id == collection_id, readable_by(user_id))
    if await session.scalar(mine.with_for_update()) is None:
        raise NotFound("collection", str(collection_id))
    members = await session.scalars(
        delete(CollectionMember)
        .where(CollectionMember.collection_id == collection_id)
        .returning(CollectionMember.media_file_id)
        .execution_options(synchronize_session=False)
    )
    files = members.all()
    await session.execute(
        delete(Collection)
        .where(Collection.id == collection_id)
        .execution_options(synchronize_session=False)
    )
    return files


async def _own_files(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Several[uuid.UUID]
) -> Sequence[uuid.UUID]:
    """These files, kept from being deleted until this transaction ends.

    Raises:
        NotFound: the user has no file of one of these ids.
    """
    found = await session.scalars(
        select(MediaFile.id)
        .where(MediaFile.id.in_(file_ids), media_files.readable_by(user_id))
        # In one order, so that two requests never wait for each other.
        .order_by(MediaFile.id)
        .with_for_update(read=True, key_share=True)
    )
    ids = found.all()
    if missing := sorted(set(file_ids) - set(ids)):
        raise NotFound("file", str(missing[0]))
    return ids


async def put_in(
    session: AsyncSession,
    user_id: uuid.UUID,
    collection_id: uuid.UUID,
    file_ids: Several[uuid.UUID],
) -> int:
    """Put files into a collection that is locked, and say how many were not there before.

    Raises:
        NotFound: the user has no file of one of these ids.
    """
    ids = await _own_files(session, user_id, file_ids)
    members = [{"collection_id": collection_id, "media_file_id": file_id} for file_id in ids]
    added = await session.scalars(
        insert(CollectionMember)
        .values(members)
        .on_conflict_do_nothing()
        .returning(CollectionMember.media_file_id)
    )
    return len(added.all())


async def take_out(
    session: AsyncSession,
    user_id: uuid.UUID,
    collection_id: uuid.UUID,
    file_ids: Several[uuid.UUID],
) -> int:
    """Take files out of a collection that is locked, and say how many were in it.

    Raises:
        NotFound: the user has no file of one of these ids.
    """
    ids = await _own_files(session, user_id, file_ids)
    removed = await session.scalars(
        delete(CollectionMember)
        .where(
            CollectionMember.collection_id == collection_id,
            CollectionMember.media_file_id.in_(ids),
        )
        .returning(CollectionMember.media_file_id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())
