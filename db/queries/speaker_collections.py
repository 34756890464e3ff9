"""Speaker collections of users, and the profiles that are in them."""

import uuid
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NameTaken, NotFound
from db.models import SpeakerCollection, SpeakerCollectionMember, SpeakerProfile
from db.queries import names, profiles

UNIQUE_NAME = "uq_speaker_collection_user_id_name"
KIND = "speaker collection"

Counted = tuple[SpeakerCollection, int]
"""A collection, and how many profiles are in it."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Speaker collections that are this user's."""
    return SpeakerCollection.user_id == user_id


def _profile_count() -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(SpeakerCollectionMember)
        .where(SpeakerCollectionMember.collection_id == SpeakerCollection.id)
        .correlate(SpeakerCollection)
        .scalar_subquery()
    )


async def page(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Counted], int]:
    """One page of a user's speaker collections by name, and how many there are in all."""
    rows = await session.execute(
        select(SpeakerCollection, _profile_count())
        .where(readable_by(user_id))
        .order_by(SpeakerCollection.name, SpeakerCollection.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).where(readable_by(user_id)))
    return rows.all(), total or 0


async def get(session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID) -> Counted:
    """One speaker collection.

    Raises:
        NotFound: there is none that this user may see.
    """
    found = await session.execute(
        select(SpeakerCollection, _profile_count())
        .where(SpeakerCollection.id == collection_id, readable_by(user_id))
        .execution_options(populate_existing=True)
    )
    return _found(found.one_or_none(), collection_id)


def _found(row: Counted | None, collection_id: uuid.UUID) -> Counted:
    if row is None:
        raise NotFound(KIND, str(collection_id))
    return row


async def require(
    session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID, *, lock: bool = False
) -> None:
    """See that a speaker collection is there; `lock` keeps it until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(SpeakerCollection.id).where(
        SpeakerCollection.id == collection_id, readable_by(user_id)
    )
    if lock:
        query = query.with_for_update(read=True, key_share=True)
    if await session.scalar(query) is None:
        raise NotFound(KIND, str(collection_id))


async def add(
    session: AsyncSession, user_id: uuid.UUID, name: str, description: str
) -> SpeakerCollection:
    """Make a speaker collection.

    Raises:
        NameTaken: the user has another one of this name, however close the race.
    """
    statement = insert(SpeakerCollection).values(
        user_id=user_id, name=name, description=description
    )
    made: SpeakerCollection | None = await session.scalar(
        statement.on_conflict_do_nothing().returning(SpeakerCollection)
    )
    if made is None:
        raise NameTaken(KIND, name)
    return made


async def change(
    session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID, changes: Mapping[str, str]
) -> Counted:
    """Change the name or the description.

    Raises:
        NotFound: there is none that this user may see.
        NameTaken: the user has another one of this name.
    """
    async with names.unless_taken(session, UNIQUE_NAME, KIND, changes.get("name", "")):
        changed = await session.execute(
            update(SpeakerCollection)
            .where(SpeakerCollection.id == collection_id, readable_by(user_id))
            .values(**changes)
            .returning(SpeakerCollection, _profile_count())
            .execution_options(synchronize_session=False)
        )
    return _found(changed.one_or_none(), collection_id)


async def remove(session: AsyncSession, user_id: uuid.UUID, collection_id: uuid.UUID) -> None:
    """Delete a speaker collection; its profiles stay.

    Raises:
        NotFound: there is none that this user may see.
    """
    statement = delete(SpeakerCollection).where(
        SpeakerCollection.id == collection_id, readable_by(user_id)
    )
    if await session.scalar(statement.returning(SpeakerCollection.id)) is None:
        raise NotFound(KIND, str(collection_id))


async def _own_profiles(
    session: AsyncSession, user_id: uuid.UUID, profile_ids: Collection[uuid.UUID]
) -> Sequence[uuid.UUID]:
    """These profiles, kept from being deleted until this transaction ends.

    Raises:
        NotFound: the user has no profile of one of these ids.
    """
    found = await session.scalars(
        select(SpeakerProfile.id)
        .where(SpeakerProfile.id.in_(profile_ids), profiles.readable_by(user_id))
        # In one order, so that two requests never wait for each other.
        .order_by(SpeakerProfile.id)
        .with_for_update(read=True, key_share=True)
    )
    ids = found.all()
    if missing := sorted(set(profile_ids) - set(ids)):
        raise NotFound(profiles.KIND, str(missing[0]))
    return ids


async def put_in(
    session: AsyncSession,
    user_id: uuid.UUID,
    collection_id: uuid.UUID,
    profile_ids: Collection[uuid.UUID],
) -> int:
    """Put profiles into a collection that is locked; says how many were not there before.

    Raises:
        NotFound: the user has no profile of one of these ids.
    """
    ids = await _own_profiles(session, user_id, profile_ids)
    members = [{"collection_id": collection_id, "profile_id": one} for one in ids]
    added = await session.scalars(
        insert(SpeakerCollectionMember)
        .values(members)
        .on_conflict_do_nothing()
        .returning(SpeakerCollectionMember.profile_id)
    )
    return len(added.all())


async def take_out(
    session: AsyncSession,
    user_id: uuid.UUID,
    collection_id: uuid.UUID,
    profile_ids: Collection[uuid.UUID],
) -> int:
    """Take profiles out of a collection that is locked; says how many were in it.

    Raises:
        NotFound: the user has no profile of one of these ids.
    """
    ids = await _own_profiles(session, user_id, profile_ids)
    removed = await session.scalars(
        delete(SpeakerCollectionMember)
        .where(
            SpeakerCollectionMember.collection_id == collection_id,
            SpeakerCollectionMember.profile_id.in_(ids),
        )
        .returning(SpeakerCollectionMember.profile_id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())
