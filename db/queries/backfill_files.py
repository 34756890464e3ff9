"""Which files a backfill is about: those that a stage can be done to, and those that need it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    BackfillStage,
    Destination,
    FileStatus,
    IndexedFile,
    MediaFile,
    Speaker,
    StageResult,
    Summary,
    Transcript,
    TranscriptEdit,
)
from db.queries.edits import EditAction
from db.queries.indexing import at

REPLACED = (EditAction.reprocessed, EditAction.speakers_named)
"""Entries of a transcript's history that no person's work is lost with."""


@dataclass(frozen=True, slots=True)
class InUse:
    """What the installation does each stage with now; None: it does not matter to the stage."""

    whisper: str | None = None
    diarization: str | None = None
    alignment: str | None = None
    embedding: str | None = None
    """Identity of voiceprints."""
    keywords: str | None = None
    """Where the store of words has passages."""
    passages: str | None = None
    """Where the store of vectors has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which files are meant; what is left out narrows nothing."""

    owner_ids: Sequence[uuid.UUID] = ()
    file_ids: Sequence[uuid.UUID] = ()
    languages: Sequence[str] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    everything: bool = False
    """Also what is as it would become."""
    edited: bool = False
    """Also transcripts that people have worked on, where the stage replaces them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that is to be done."""

    file_id: uuid.UUID
    audio_seconds: float


def needs(stage: BackfillStage, used: InUse) -> ColumnElement[bool]:
    """Files that are not as the stage would make them now."""
    model = Transcript.models
    summarised = exists().where(
        Summary.media_file_id == MediaFile.id, Summary.transcript_version == Transcript.version
    )
    conditions: dict[BackfillStage, ColumnElement[bool]] = {
        BackfillStage.retranscribe: model["whisper"].astext.is_distinct_from(used.whisper),
        BackfillStage.rediarize: or_(
            model["diarization"].astext.is_distinct_from(used.diarization),
            Transcript.diarization != "done",
        ),
        BackfillStage.realign: and_(
            model["alignment"].astext.is_distinct_from(used.alignment),
            Transcript.task == "transcribe",
        ),
        BackfillStage.reembed: _other_voices(used.embedding),
        BackfillStage.reindex: or_(
            _not_at(Destination.keywords, used.keywords),
            _not_at(Destination.passages, used.passages),
        ),
        BackfillStage.resummarize: ~summarised,
    }
    return conditions[stage]


def _other_voices(model: str | None) -> ColumnElement[bool]:
    return exists().where(
        Speaker.media_file_id == MediaFile.id,
        Speaker.embedding_model.is_distinct_from(model),
        or_(Speaker.embedding.is_not(None), Speaker.speech_seconds > 0),
        Speaker.voiceprint_erased.is_(False),
    )


def _not_at(destination: Destination, place: str | None) -> ColumnElement[bool]:
    return ~exists().where(
        IndexedFile.media_file_id == MediaFile.id,
        at(destination, place or ""),
        IndexedFile.transcript_version == Transcript.version,
    )


REPLACES = frozenset({BackfillStage.retranscribe, BackfillStage.rediarize})
"""Stages that put a new transcript in the place of the old one."""


def worked_on() -> ColumnElement[bool]:
    """Files whose transcripts people have changed: their work would go."""
    return exists().where(
        TranscriptEdit.media_file_id == MediaFile.id, TranscriptEdit.action.not_in(REPLACED)
    )


def chosen(stage: BackfillStage, wanted: Wanted, used: InUse) -> list[ColumnElement[bool]]:
    """What a file with a transcript must meet."""
    found: list[ColumnElement[bool]] = [MediaFile.status == FileStatus.completed]
    if not wanted.everything:
        found.append(needs(stage, used))
    if stage in REPLACES and not wanted.edited:
        found.append(~worked_on())
    if wanted.owner_ids:
        found.append(MediaFile.user_id.in_(wanted.owner_ids))
    if wanted.file_ids:
        found.append(MediaFile.id.in_(wanted.file_ids))
    if wanted.languages:
        found.append(Transcript.language.in_(wanted.languages))
    if wanted.created_from is not None:
        found.append(MediaFile.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(MediaFile.created_at < wanted.created_to)
    return found


async def candidates(
    session: AsyncSession,
    conditions: Sequence[ColumnElement[bool]],
    after: uuid.UUID | None,
    limit: int,
) -> Sequence[Candidate]:
    """Some of the files in order of their ids, those that follow one."""
    query = (
        select(MediaFile.id, func.coalesce(MediaFile.duration, 0.0))
        .join(Transcript, Transcript.media_file_id == MediaFile.id)
        .where(*conditions)
    )
    if after is not None:
        query = query.where(MediaFile.id > after)
    rows = await session.execute(query.order_by(MediaFile.id).limit(limit))
    return [Candidate(*row) for row in rows]


async def still_meets(
    session: AsyncSession, file_id: uuid.UUID, conditions: Sequence[ColumnElement[bool]]
) -> bool:
    """Whether one file is still to be done."""
    query = (
        select(MediaFile.id)
        .join(Transcript, Transcript.media_file_id == MediaFile.id)
        .where(MediaFile.id == file_id, *conditions)
    )
    return await session.scalar(query) is not None


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is to do."""

    files: int
    audio_seconds: float
    owners: int


async def amount(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> Amount:
    """All the files that meet the conditions."""
    row = await session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(MediaFile.duration), 0.0),
            func.count(MediaFile.user_id.distinct()),
        )
        .select_from(MediaFile)
        .join(Transcript, Transcript.media_file_id == MediaFile.id)
        .where(*conditions)
    )
    files, seconds, owners = row.one()
    return Amount(files, float(seconds or 0.0), owners)


async def window_seconds(session: AsyncSession, files: int) -> float | None:
    """Mean seconds of recording per window, over the files that were transcribed last; None: none.

    What is between windows counts: silence takes no window.
    """
    latest = (
        select(StageResult.media_file_id, func.max(StageResult.created_at).label("at"))
        .where(StageResult.stage == "transcribe")
        .group_by(StageResult.media_file_id)
        .order_by(func.max(StageResult.created_at).desc())
        .limit(files)
        .subquery()
    )
    parts = (
        select(StageResult.media_file_id, func.count(StageResult.part.distinct()).label("parts"))
        .where(
            StageResult.stage == "transcribe",
            StageResult.media_file_id.in_(select(latest.c.media_file_id)),
        )
        .group_by(StageResult.media_file_id)
        .subquery()
    )
    mean = func.sum(MediaFile.duration) / func.nullif(func.sum(parts.c.parts), 0)
    found = await session.scalar(
        select(mean).select_from(parts).join(MediaFile, MediaFile.id == parts.c.media_file_id)
    )
    return None if found is None else float(found)
