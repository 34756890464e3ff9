"""Where a person is mentioned: in voices, histories, kept answers and events of one user."""

import json
import typing
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    UUID,
    ColumnElement,
    CursorResult,
    RowMapping,
    Text,
    and_,
    any_,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.base import Base
from db.models import (
    Analytics,
    CannotLink,
    IdempotencyKey,
    MediaFile,
    ProfileMatch,
    ProfileRejection,
    Speaker,
    SpeakerChange,
    SpeakerCluster,
    SpeakerMatch,
    SpeakerProfile,
    StageResult,
    Task,
    TaskEvent,
    TaskKind,
    Transcript,
    TranscriptEdit,
)

BATCH = 200
"""Rows that are rewritten at a time."""

Ids = Collection[uuid.UUID]
Columns = Sequence[InstrumentedAttribute[Any]]
Rewrite = Callable[[Any], Any]


def _these(ids: Ids) -> Any:
    # One value, however many: a statement takes 65,535.
    return any_(literal(list(ids), ARRAY(UUID)))


def _lower(names: Collection[str]) -> Any:
    """In the letter case of the database, in which it compares names."""
    return [func.lower(name) for name in names]


def mentions(
    column: InstrumentedAttribute[Any], needles: Collection[str]
) -> Sequence[ColumnElement[bool]]:
    """That one of these is somewhere in a column of JSON or text, in any letter case."""
    text = func.lower(cast(column, Text))
    # As it is, and as it is written in JSON.
    written = {one: None for needle in needles for one in (needle, _in_json(needle))}
    return [func.strpos(text, func.lower(one)) > 0 for one in written]


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


async def voices(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, names: Collection[str]
) -> set[uuid.UUID]:
    """Speakers of a profile, or without one and called by one of these names."""
    called = Speaker.profile_id.is_(None) & func.lower(Speaker.display_name).in_(_lower(names))
    rows = await session.scalars(
        select(Speaker.id).where(
            Speaker.user_id == user_id, or_(Speaker.profile_id == profile_id, called)
        )
    )
    return set(rows)


async def changes(
    session: AsyncSession, user_id: uuid.UUID, needles: Collection[str]
) -> Sequence[SpeakerChange]:
    """Changes of who is who that mention one of these."""
    found = or_(*mentions(SpeakerChange.before, needles), *mentions(SpeakerChange.after, needles))
    rows = await session.scalars(
        select(SpeakerChange)
        .where(SpeakerChange.user_id == user_id, found)
        .order_by(SpeakerChange.id)
        .with_for_update()
    )
    return rows.all()


async def other_people(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID
) -> set[str]:
    """Ids of the user's profiles but one, as JSON has them."""
    rows = await session.scalars(
        select(SpeakerProfile.id).where(
            SpeakerProfile.user_id == user_id, SpeakerProfile.id != profile_id
        )
    )
    return {str(row) for row in rows}


async def files_about(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_ids: Collection[str],
    needles: Collection[str],
) -> set[uuid.UUID]:
    """Files that have one of these speakers, or in whose history one of the needles is."""
    these = _these([uuid.UUID(one) for one in speaker_ids])
    have = select(Speaker.media_file_id).where(Speaker.user_id == user_id, Speaker.id == these)
    row = TranscriptEdit
    mention = or_(*mentions(row.before, needles), *mentions(row.after, needles))
    own = select(MediaFile.id).where(MediaFile.user_id == user_id)
    told = select(row.media_file_id).where(row.media_file_id.in_(own), mention)
    return set(await session.scalars(have.union(told)))


async def drop_matches(session: AsyncSession, speaker_ids: Ids) -> None:
    """Forget whom voices sound like, and from whom they were told apart."""
    these = _these(speaker_ids)
    await executed(session, delete(ProfileMatch).where(ProfileMatch.speaker_id == these))
    for pair in (SpeakerMatch, CannotLink):
        mine = or_(pair.first_id == these, pair.second_id == these)
        await executed(session, delete(pair).where(mine))


async def drop_rejections(session: AsyncSession, speaker_ids: Ids) -> None:
    """Forget of whom somebody said that these voices are not theirs."""
    these = _these(speaker_ids)
    await executed(session, delete(ProfileRejection).where(ProfileRejection.speaker_id == these))


async def drop_analytics(session: AsyncSession, file_ids: Ids) -> None:
    """Forget files' figures: they are computed anew when somebody asks."""
    await executed(session, delete(Analytics).where(Analytics.media_file_id == _these(file_ids)))


async def drop_checkpoints(session: AsyncSession, file_ids: Ids, stages: Collection[str]) -> int:
    """Forget what is stored of these stages of files; says how much."""
    mine = StageResult.media_file_id == _these(file_ids), StageResult.stage.in_(stages)
    return await executed(session, delete(StageResult).where(*mine))


async def next_versions(session: AsyncSession, file_ids: Ids) -> dict[uuid.UUID, int]:
    """Give transcripts a new version each; by file."""
    rows = await session.execute(
        update(Transcript)
        .where(Transcript.media_file_id == _these(file_ids))
        .values(version=Transcript.version + 1)
        .returning(Transcript.media_file_id, Transcript.version)
        .execution_options(synchronize_session=False)
    )
    return dict(rows.all())


async def unlabel_clusters(
    session: AsyncSession, user_id: uuid.UUID, names: Collection[str]
) -> None:
    """Groups of voices that are called so have no name."""
    called = func.lower(SpeakerCluster.label).in_(_lower(names))
    mine = SpeakerCluster.user_id == user_id
    await executed(session, update(SpeakerCluster).where(mine, called).values(label=None))


async def drop_enrolment_tasks(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[str]
) -> None:
    """Delete the tasks about these clips, or this profile: their runners lose them."""
    about = or_(*mentions(Task.options, ids), *mentions(Task.result, ids))
    mine = Task.user_id == user_id, Task.kind == TaskKind.enrolment
    await executed(session, delete(Task).where(*mine, about))


async def rewrite_history(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_ids: Ids,
    needles: Collection[str],
    rewrite: Rewrite,
) -> int:
    """Rewrite edits of transcripts that speak of speakers; says how many became others.

    Looks at those of these files, and at all of the user's that mention one of the needles.
    """
    row = TranscriptEdit
    mention = [*mentions(row.before, needles), *mentions(row.after, needles)]
    own = select(MediaFile.id).where(MediaFile.user_id == user_id)
    speak = or_(
        *(func.jsonb_array_length(part["speakers"]) > 0 for part in (row.before, row.after))
    )
    about = or_(and_(row.media_file_id == _these(file_ids), speak), *mention)
    where = row.media_file_id.in_(own), about
    return await rewritten(session, row, (row.id,), (row.before, row.after), where, rewrite)


async def rewrite_answers(
    session: AsyncSession, user_id: uuid.UUID, needles: Collection[str], rewrite: Rewrite
) -> int:
    """Rewrite the answers that repeated requests get; says how many became others."""
    row = IdempotencyKey
    where = row.user_id == user_id, or_(*mentions(row.body, needles))
    return await rewritten(session, row, (row.user_id, row.key), (row.body,), where, rewrite)


async def rewrite_events(
    session: AsyncSession, user_id: uuid.UUID, needles: Collection[str], rewrite: Rewrite
) -> int:
    """Rewrite what clients are told when they replay; says how much became other."""
    row = TaskEvent
    where = row.user_id == user_id, or_(*mentions(row.payload, needles))
    return await rewritten(session, row, (row.id,), (row.payload,), where, rewrite)


async def rewritten(
    session: AsyncSession,
    table: type[Base],
    key: Columns,
    columns: Columns,
    where: Sequence[ColumnElement[bool]],
    rewrite: Rewrite,
) -> int:
    """Rewrite these columns of the rows that are meant; says how many became others."""
    count = 0
    async for rows in _batches(session, key, columns, where):
        changed = []
        for row in rows:
            new = {column.key: rewrite(row[column.key]) for column in columns}
            if any(row[name] != value for name, value in new.items()):
                changed.append({**row, **new})
        if changed:
            await session.execute(update(table), changed)
        count += len(changed)
    return count


async def deleted(
    session: AsyncSession,
    table: type[Base],
    key: Columns,
    columns: Columns,
    where: Sequence[ColumnElement[bool]],
    rewrite: Rewrite,
) -> int:
    """Delete the rows that would become others if these columns were rewritten; says how many."""
    count = 0
    async for rows in _batches(session, key, columns, where):
        going = [
            tuple(row[part.key] for part in key)
            for row in rows
            if any(row[column.key] != rewrite(row[column.key]) for column in columns)
        ]
        count += await executed(session, delete(table).where(tuple_(*key).in_(going)))
    return count


async def _batches(
    session: AsyncSession, key: Columns, columns: Columns, where: Sequence[ColumnElement[bool]]
) -> AsyncIterator[Sequence[RowMapping]]:
    # Keys first, then batch by batch: what histories keep may be large.
    keys = (await session.execute(select(*key).where(*where).order_by(*key))).all()
    for at in range(0, len(keys), BATCH):
        found = await session.execute(
            select(*key, *columns)
            .where(tuple_(*key).in_([tuple(one) for one in keys[at : at + BATCH]]))
            .order_by(*key)
            .with_for_update()
        )
        yield found.mappings().all()


async def executed(session: AsyncSession, statement: Any) -> int:
    """Execute a statement on rows that are read anew afterwards; says how many there were."""
    result = await session.execute(statement.execution_options(synchronize_session=False))
    return typing.cast("CursorResult[Any]", result).rowcount
