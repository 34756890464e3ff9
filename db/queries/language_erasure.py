"""What language models made of a user's transcripts, where somebody is to be forgotten."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    MediaFile,
    Speaker,
    SpeakerPrediction,
    StageResult,
    Summary,
    Task,
    TaskKind,
    TopicSuggestion,
)
from db.queries.among import one_of
from db.queries.erasure import Columns, Ids, Rewrite, deleted, executed, mentions, rewritten
from db.queries.tasks import HELD


async def locked_running(
    session: AsyncSession, user_id: uuid.UUID, kinds: Collection[TaskKind]
) -> Sequence[Task]:
    """A user's tasks of these kinds that runners have: they store nothing meanwhile."""
    rows = await session.scalars(
        select(Task)
        .where(Task.user_id == user_id, Task.kind.in_(kinds), Task.state.in_(HELD))
        .order_by(Task.created_at, Task.id)
        .with_for_update()
    )
    return rows.all()


async def drop_of_files(session: AsyncSession, file_ids: Ids) -> int:
    """Delete all that was made of these files; says how much."""
    these = one_of(file_ids)
    speakers = select(Speaker.id).where(Speaker.media_file_id == these)
    return (
        await executed(session, delete(Summary).where(Summary.media_file_id == these))
        + await executed(
            session, delete(TopicSuggestion).where(TopicSuggestion.media_file_id == these)
        )
        + await executed(
            session, delete(SpeakerPrediction).where(SpeakerPrediction.speaker_id.in_(speakers))
        )
    )


async def drop_mentions(
    session: AsyncSession, user_id: uuid.UUID, needles: Collection[str], rewrite: Rewrite
) -> int:
    """Delete what mentions one of the needles, as words that are rewritten; says how much."""
    summary, topics, prediction = Summary, TopicSuggestion, SpeakerPrediction
    made: Sequence[tuple[type[Summary | TopicSuggestion | SpeakerPrediction], Columns, Columns]] = (
        (summary, (summary.id,), (summary.content, summary.sections)),
        (
            topics,
            (topics.media_file_id,),
            (topics.tags, topics.collections, topics.decisions),
        ),
        (
            prediction,
            (prediction.id,),
            (prediction.name, prediction.reasoning, prediction.evidence),
        ),
    )
    count = 0
    for table, key, columns in made:
        told = [found for column in columns for found in mentions(column, needles)]
        where = table.user_id == user_id, or_(*told)
        count += await deleted(session, table, key, columns, where, rewrite)
    return count


async def drop_checkpoints(
    session: AsyncSession, user_id: uuid.UUID, stages: Collection[str]
) -> None:
    """Forget what is stored of these stages of all of a user's files, whoever is in it."""
    own = select(MediaFile.id).where(MediaFile.user_id == user_id)
    mine = StageResult.media_file_id.in_(own), StageResult.stage.in_(stages)
    await executed(session, delete(StageResult).where(*mine))


async def rewrite_tasks(
    session: AsyncSession,
    user_id: uuid.UUID,
    kinds: Collection[TaskKind],
    needles: Collection[str],
    rewrite: Rewrite,
) -> int:
    """Rewrite what tasks of these kinds tell; says how many became others."""
    columns = Task.options, Task.result, Task.error_message
    told = [found for column in columns for found in mentions(column, needles)]
    where = Task.user_id == user_id, Task.kind.in_(kinds), or_(*told)
    return await rewritten(session, Task, (Task.id,), columns, where, rewrite)
