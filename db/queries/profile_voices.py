"""The voices of a person: all of them called otherwise or given to another person; where heard.

In statements over all rows: somebody who speaks everywhere has ten thousand voices.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Select,
    String,
    Text,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    CannotLink,
    Enrolment,
    MediaFile,
    ProfileRejection,
    Segment,
    Speaker,
    SpeakerChange,
    SpeakerCollectionMember,
    Transcript,
    TranscriptEdit,
)
from db.queries import speakers
from db.queries.edits import EditAction


@dataclass(frozen=True, slots=True)
class HeardVoice:
    """A voice of a person in one file."""

    id: uuid.UUID
    label: str
    verified: bool
    speech_seconds: float
    segment_count: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A file in which a person speaks."""

    file_id: uuid.UUID
    filename: str
    title: str | None
    duration: float | None
    created_at: datetime
    voices: Sequence[HeardVoice]


def _files(user_id: uuid.UUID, profile_id: uuid.UUID) -> Select[uuid.UUID]:
    return select(Speaker.media_file_id).where(
        Speaker.profile_id == profile_id, speakers.readable_by(user_id)
    )


async def give(
    session: AsyncSession,
    user_id: uuid.UUID,
    profile_id: uuid.UUID,
    target_id: uuid.UUID,
    name: str,
) -> Sequence[uuid.UUID]:
    """Make all voices of a profile those of `target_id`, who is called `name`; says their files.

    Whoever decides about this user's speakers is waited for before (`speakers.serialise`). Each
    transcript in which the name changes gets a new version and an entry in its history. The two
    profiles may be one: then it is called otherwise.
    """
    files = await locked_files(session, user_id, profile_id)
    renamed = Speaker.display_name.is_distinct_from(name)
    mine = Speaker.profile_id == profile_id, speakers.readable_by(user_id)
    await session.execute(
        update(Transcript)
        .where(
            Transcript.media_file_id.in_(
                select(Speaker.media_file_id).where(*mine, renamed).scalar_subquery()
            )
        )
        .values(version=Transcript.version + 1)
        .execution_options(synchronize_session=False)
    )
    await session.execute(_history(user_id, profile_id, target_id, name))
    await session.execute(
        update(Speaker)
        .where(*mine)
        .values(profile_id=target_id, display_name=name)
        .execution_options(synchronize_session=False)
    )
    return files


async def locked_files(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID
) -> Sequence[uuid.UUID]:
    """Lock as `speakers.hold` does, and say in which files a person speaks."""
    return await speakers.lock_files(session, _files(user_id, profile_id))


def _history(user_id: uuid.UUID, profile_id: uuid.UUID, target_id: uuid.UUID, name: str) -> Any:
    """As pipelines.speakers.identity writes it, one entry for each transcript."""
    before = _facts(Speaker.display_name, profile_id)
    after = _facts(literal(name, String), target_id)
    rows = (
        select(
            func.gen_random_uuid(),
            Speaker.media_file_id,
            literal(user_id),
            func.max(Transcript.version),
            literal(EditAction.speakers_named.value, String),
            before,
            after,
        )
        .join(Transcript, Transcript.media_file_id == Speaker.media_file_id)
        .where(
            Speaker.profile_id == profile_id,
            speakers.readable_by(user_id),
            Speaker.display_name.is_distinct_from(name),
        )
        .group_by(Speaker.media_file_id)
    )
    columns = ["id", "media_file_id", "user_id", "version", "action", "before", "after"]
    return insert(TranscriptEdit).from_select(columns, rows)


def _facts(name: Any, profile_id: uuid.UUID) -> Any:
    fact = func.jsonb_build_object(
        "id",
        cast(Speaker.id, Text),
        "label",
        Speaker.label,
        "display_name",
        name,
        "profile_id",
        str(profile_id),
    )
    told = func.jsonb_agg(aggregate_order_by(fact, Speaker.id))
    return func.jsonb_build_object("segments", func.jsonb_build_array(), "speakers", told)


async def unite(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, target_id: uuid.UUID
) -> None:
    """Give what a profile has to another one that has its voices already."""
    await session.execute(
        update(Enrolment).where(Enrolment.profile_id == profile_id).values(profile_id=target_id)
    )
    collections = select(SpeakerCollectionMember.collection_id, literal(target_id)).where(
        SpeakerCollectionMember.profile_id == profile_id
    )
    await _copy(session, SpeakerCollectionMember, ["collection_id", "profile_id"], collections)
    voices = select(Speaker.id).where(Speaker.profile_id == target_id)
    rejections = select(ProfileRejection.speaker_id, literal(target_id)).where(
        ProfileRejection.profile_id == profile_id
    )
    await _copy(session, ProfileRejection, ["speaker_id", "profile_id"], rejections)
    # What was decided of the one was of the other: for undo, and to be found by an erasure.
    old, new = str(profile_id), str(target_id)
    for column in (SpeakerChange.before, SpeakerChange.after):
        told = cast(column, Text)
        await session.execute(
            update(SpeakerChange)
            .where(SpeakerChange.user_id == user_id, func.strpos(told, old) > 0)
            .values({column: cast(func.replace(told, old, new), JSONB)})
            .execution_options(synchronize_session=False)
        )
    # Whose voices are one person's now is the later word.
    await session.execute(
        delete(ProfileRejection).where(
            ProfileRejection.profile_id == target_id, ProfileRejection.speaker_id.in_(voices)
        )
    )
    await session.execute(
        delete(CannotLink).where(CannotLink.first_id.in_(voices), CannotLink.second_id.in_(voices))
    )


async def _copy(session: AsyncSession, table: Any, columns: list[str], rows: Any) -> None:
    statement = postgresql.insert(table).from_select(columns, rows)
    await session.execute(statement.on_conflict_do_nothing())


async def occurrences(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Occurrence], int]:
    """One page of the files in which a person speaks, newest first, and how many there are."""
    its = MediaFile.id.in_(_files(user_id, profile_id))
    rows = await session.execute(
        select(
            MediaFile.id,
            MediaFile.filename,
            MediaFile.title,
            MediaFile.duration,
            MediaFile.created_at,
        )
        .where(its)
        .order_by(MediaFile.created_at.desc(), MediaFile.id.desc())
        .limit(limit)
        .offset(offset)
    )
    files = rows.all()
    total = await session.scalar(select(func.count()).select_from(MediaFile).where(its))
    heard = await _heard(session, user_id, profile_id, [file.id for file in files])
    return [Occurrence(*file, heard[file.id]) for file in files], total or 0


async def _heard(
    session: AsyncSession,
    user_id: uuid.UUID,
    profile_id: uuid.UUID,
    file_ids: Sequence[uuid.UUID],
) -> dict[uuid.UUID, list[HeardVoice]]:
    segments = (
        select(func.count())
        .select_from(Segment)
        .where(Segment.speaker_id == Speaker.id)
        .correlate(Speaker)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(
            Speaker.media_file_id,
            Speaker.id,
            Speaker.label,
            Speaker.verified,
            Speaker.speech_seconds,
            segments,
        )
        .where(
            Speaker.profile_id == profile_id,
            speakers.readable_by(user_id),
            Speaker.media_file_id.in_(file_ids),
        )
        .order_by(Speaker.label)
    )
    heard: dict[uuid.UUID, list[HeardVoice]] = {file_id: [] for file_id in file_ids}
    for file_id, *voice in rows:
        heard[file_id].append(HeardVoice(*voice))
    return heard
