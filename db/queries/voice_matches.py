"""Which voices sound like which, and like whom: the tables `speaker_match`, `profile_match`."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, any_, cast, delete, func, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.models import (
    CannotLink,
    ProfileMatch,
    ProfileRejection,
    Speaker,
    SpeakerChange,
    SpeakerMatch,
)
from db.queries.among import one_of

Pair = tuple[uuid.UUID, uuid.UUID]
"""Two voices, the smaller id first; or a voice and a profile."""
BATCH = 1000
"""Pairs that one statement names: PostgreSQL takes 65,535 values at most."""


async def of_voices(session: AsyncSession, ids: Collection[uuid.UUID]) -> dict[Pair, float]:
    """Pairs of which one is among these voices, with their cosines."""
    row = SpeakerMatch
    mine = or_(row.first_id == one_of(ids), row.second_id == one_of(ids))
    found = await session.execute(select(row.first_id, row.second_id, row.similarity).where(mine))
    return {(first, second): similarity for first, second, similarity in found}


async def profiles_of(session: AsyncSession, ids: Collection[uuid.UUID]) -> dict[Pair, float]:
    """Whom these voices sound like: (voice, profile) and the cosine."""
    return await _with_profiles(session, ProfileMatch.speaker_id == one_of(ids))


async def voices_of(session: AsyncSession, profile_id: uuid.UUID) -> dict[Pair, float]:
    """Voices that sound like a profile: (voice, profile) and the cosine."""
    return await _with_profiles(session, ProfileMatch.profile_id == profile_id)


async def _with_profiles(
    session: AsyncSession, condition: ColumnElement[bool]
) -> dict[Pair, float]:
    row = ProfileMatch
    found = await session.execute(
        select(row.speaker_id, row.profile_id, row.similarity).where(condition)
    )
    return {(speaker, profile): similarity for speaker, profile, similarity in found}


async def put_voices(
    session: AsyncSession, before: Mapping[Pair, float], after: Mapping[Pair, float]
) -> None:
    """Make pairs of voices what they are `after`, where they are `before`."""
    key = SpeakerMatch.first_id, SpeakerMatch.second_id
    await _put(session, SpeakerMatch, key, before, after)


async def put_profiles(
    session: AsyncSession, before: Mapping[Pair, float], after: Mapping[Pair, float]
) -> None:
    """Make pairs of voice and profile what they are `after`, where they are `before`."""
    key = ProfileMatch.speaker_id, ProfileMatch.profile_id
    await _put(session, ProfileMatch, key, before, after)


async def _put(
    session: AsyncSession,
    table: type[Any],
    key: tuple[InstrumentedAttribute[uuid.UUID], InstrumentedAttribute[uuid.UUID]],
    before: Mapping[Pair, float],
    after: Mapping[Pair, float],
) -> None:
    # In one order, whoever writes: two who write the same pairs wait, and not for each other.
    for pairs in _batches(sorted(before.keys() - after.keys())):
        gone = delete(table).where(tuple_(*key).in_(pairs))
        await session.execute(gone.execution_options(synchronize_session=False))
    changed = sorted(pair for pair in after if before.get(pair) != after[pair])
    for pairs in _batches(changed):
        names = key[0].key, key[1].key, "similarity"
        rows = [dict(zip(names, (*pair, after[pair]), strict=True)) for pair in pairs]
        statement = insert(table).values(rows)
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=list(key), set_={"similarity": statement.excluded.similarity}
            )
        )


def _batches(pairs: Sequence[Pair]) -> Iterable[Sequence[Pair]]:
    return (pairs[at : at + BATCH] for at in range(0, len(pairs), BATCH))


@dataclass(frozen=True, slots=True)
class Nameless:
    """A voice that nobody has named, or decided anything about; and its file."""

    id: uuid.UUID
    media_file_id: uuid.UUID


async def nameless(
    session: AsyncSession,
    user_id: uuid.UUID,
    model: str,
    at_least: float,
    *,
    file_id: uuid.UUID | None = None,
    profile_id: uuid.UUID | None = None,
) -> list[Nameless]:
    """Nameless voices of a file, or such that match a profile, with a match of that cosine.

    Whom a person named once, or took a name from, is left out for good.
    """
    place = [Speaker.media_file_id == file_id] if file_id else []
    whom = [ProfileMatch.profile_id == profile_id] if profile_id else []
    rows = await session.execute(
        select(Speaker.id, Speaker.media_file_id)
        .join(ProfileMatch, ProfileMatch.speaker_id == Speaker.id)
        .where(
            Speaker.user_id == user_id,
            Speaker.embedding_model == model,
            Speaker.display_name.is_(None),
            Speaker.profile_id.is_(None),
            Speaker.verified.is_(False),
            ProfileMatch.similarity >= at_least,
            *place,
            *whom,
        )
        .distinct()
        .order_by(Speaker.id)
    )
    found = [Nameless(*row) for row in rows]
    decided = await _decided(session, user_id, [voice.id for voice in found])
    return [voice for voice in found if voice.id not in decided]


async def _decided(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of these speakers who occur in the history of who is who."""
    keys = cast([str(each) for each in ids], ARRAY(Text))
    keys_of = func.jsonb_object_keys(SpeakerChange.after).table_valued("key")
    changed = keys_of.render_derived("changed")
    key = changed.c.key
    rows = await session.scalars(
        select(key)
        .select_from(SpeakerChange)
        .join(changed, true())
        .where(
            SpeakerChange.user_id == user_id,
            SpeakerChange.after.has_any(keys),
            key == any_(keys),
        )
    )
    return {uuid.UUID(found) for found in rows}


async def ruled_out(session: AsyncSession, ids: Collection[uuid.UUID]) -> set[Pair]:
    """(voice, profile) where a person said no: to the profile, or to one of its voices."""
    rejected = await session.execute(
        select(ProfileRejection.speaker_id, ProfileRejection.profile_id).where(
            ProfileRejection.speaker_id == one_of(ids)
        )
    )
    pairs = {(speaker, profile) for speaker, profile in rejected}
    for mine, other in (
        (CannotLink.first_id, CannotLink.second_id),
        (CannotLink.second_id, CannotLink.first_id),
    ):
        linked = await session.execute(
            select(mine, Speaker.profile_id)
            .join(Speaker, Speaker.id == other)
            .where(mine == one_of(ids), Speaker.profile_id.is_not(None))
        )
        pairs |= {(speaker, profile) for speaker, profile in linked if profile is not None}
    return pairs


async def present(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> set[Pair]:
    """(file, profile) for everybody who is known to speak in these files."""
    rows = await session.execute(
        select(Speaker.media_file_id, Speaker.profile_id)
        .where(Speaker.media_file_id == one_of(file_ids), Speaker.profile_id.is_not(None))
        .distinct()
    )
    return {(file, profile) for file, profile in rows if profile is not None}
