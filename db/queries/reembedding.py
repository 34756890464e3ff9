"""Voiceprints of other models than the one in use: which there are, and whose work they are."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    Enrolment,
    MediaFile,
    Speaker,
    SpeakerProfile,
    Task,
    TaskKind,
    TaskState,
    Transcript,
)
from db.queries import speakers
from db.queries.tasks import ACTIVE

LOCK = 0x72617973_766F6963
"""Advisory lock: who asks for tasks sees all that were asked for before."""
KINDS = (TaskKind.voiceprints, TaskKind.enrolment)
ANEW = (TaskKind.voiceprints, TaskKind.transcription)
"""Tasks of a file at whose end its voices are the current model's."""


async def serialise(session: AsyncSession) -> None:
    """Wait for whoever else looks for what is to be embedded, until this transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def waits(session: AsyncSession, file_id: uuid.UUID) -> bool:
    """Whether a task waits that will embed a file's voices."""
    waiting = select(Task.id).where(
        Task.media_file_id == file_id,
        Task.kind == TaskKind.voiceprints,
        Task.state == TaskState.queued,
    )
    return await session.scalar(waiting.limit(1)) is not None


async def hold_file(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> Sequence[Speaker]:
    """The voices of a file whom nobody changes until this transaction ends, nor its transcript.

    Locks in the order of `db.queries.speakers.hold`, after its `serialise`.
    """
    files = select(MediaFile.id).where(MediaFile.id == file_id, MediaFile.user_id == user_id)
    await speakers.lock_files(session, files)
    rows = await session.scalars(
        select(Speaker)
        .where(Speaker.media_file_id == file_id, Speaker.user_id == user_id)
        .order_by(Speaker.id)
        .with_for_update()
    )
    return rows.all()


async def enrolment(
    session: AsyncSession, user_id: uuid.UUID, enrolment_id: uuid.UUID, *, lock: bool = False
) -> Enrolment | None:
    """A clip of one of the user's people; None: it is gone, or they are."""
    query = (
        select(Enrolment)
        .join(SpeakerProfile, SpeakerProfile.id == Enrolment.profile_id)
        .where(Enrolment.id == enrolment_id, SpeakerProfile.user_id == user_id)
    )
    found: Enrolment | None = await session.scalar(
        query.with_for_update(of=Enrolment) if lock else query
    )
    return found


def _other_voices(model: str) -> ColumnElement[bool]:
    """Files with a transcript and a voice to be heard that the model has not looked at."""
    stale = exists().where(
        Speaker.media_file_id == MediaFile.id,
        Speaker.embedding_model.is_distinct_from(model),
        or_(Speaker.embedding.is_not(None), Speaker.speech_seconds > 0),
        Speaker.voiceprint_erased.is_(False),
    )
    return stale & exists().where(Transcript.media_file_id == MediaFile.id)


def _other_clips(model: str) -> ColumnElement[bool]:
    """Clips that another model has embedded; one that none could embed is not better now."""
    return Enrolment.embedding.is_not(None) & Enrolment.embedding_model.is_distinct_from(model)


async def files(session: AsyncSession, model: str, limit: int) -> Sequence[MediaFile]:
    """Files whose voices are to be embedded anew and on which nobody works, in order of ids."""
    busy = exists().where(
        Task.media_file_id == MediaFile.id, Task.kind.in_(ANEW), Task.state.in_(ACTIVE)
    )
    rows = await session.scalars(
        select(MediaFile).where(_other_voices(model), ~busy).order_by(MediaFile.id).limit(limit)
    )
    return rows.all()


async def clips(
    session: AsyncSession, model: str, limit: int
) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """Clips that are to be embedded anew and on which nobody works: user and clip."""
    busy = exists().where(
        Task.kind == TaskKind.enrolment,
        Task.state.in_(ACTIVE),
        Task.options["enrolment_id"].astext == cast(Enrolment.id, Text),
    )
    rows = await session.execute(
        select(SpeakerProfile.user_id, Enrolment.id)
        .join(SpeakerProfile, SpeakerProfile.id == Enrolment.profile_id)
        .where(_other_clips(model), ~busy)
        .order_by(Enrolment.id)
        .limit(limit)
    )
    return [(user_id, enrolment_id) for user_id, enrolment_id in rows]


@dataclass(frozen=True, slots=True)
class Stale:
    """What is to be embedded anew."""

    files: int
    enrolments: int


async def stale(session: AsyncSession, model: str) -> Stale:
    """How many files and clips have voiceprints of other models."""
    files = select(func.count()).select_from(MediaFile).where(_other_voices(model))
    clips = select(func.count()).select_from(Enrolment).where(_other_clips(model))
    return Stale(await session.scalar(files) or 0, await session.scalar(clips) or 0)


@dataclass(frozen=True, slots=True)
class ModelCount:
    """Voiceprints of one model."""

    embedding_model: str | None
    """None: of no model yet."""
    speakers: int
    without_voiceprint: int
    """Speakers with too little clean speech, or not looked at yet."""
    files: int


async def by_model(session: AsyncSession) -> Sequence[ModelCount]:
    """Speakers by the model that looked at them last, the most first."""
    count = func.count()
    rows = await session.execute(
        select(
            Speaker.embedding_model,
            count,
            count.filter(Speaker.embedding.is_(None)),
            func.count(Speaker.media_file_id.distinct()),
        )
        .group_by(Speaker.embedding_model)
        .order_by(count.desc(), Speaker.embedding_model)
    )
    return [ModelCount(*row) for row in rows]


async def enrolments_by_model(session: AsyncSession) -> Mapping[str | None, int]:
    """Clips by the model that embedded them."""
    rows = await session.execute(
        select(Enrolment.embedding_model, func.count()).group_by(Enrolment.embedding_model)
    )
    return dict(rows.all())


async def tasks_by_state(session: AsyncSession) -> Mapping[TaskState, int]:
    """How many tasks of these kinds are in each state."""
    rows = await session.execute(
        select(Task.state, func.count()).where(Task.kind.in_(KINDS)).group_by(Task.state)
    )
    return dict(rows.all())
