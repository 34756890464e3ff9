"""What speakers of a file leave behind when it is computed anew, and to whom it is given."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from db.models import CannotLink, ProfileRejection, Segment, Speaker, Transcript
from db.queries.among import one_of

Pair = tuple[uuid.UUID, uuid.UUID]


@dataclass(frozen=True, slots=True)
class Estate:
    """A file's speakers, when they speak, and what people ruled out of them."""

    speakers: Mapping[uuid.UUID, Speaker]
    said: Mapping[uuid.UUID, Sequence[tuple[float, float]]]
    rejections: Sequence[Pair]
    """(speaker, profile)"""
    apart: Sequence[Pair]


async def estate(session: AsyncSession, file_id: uuid.UUID) -> Estate | None:
    """What there is of a file's transcript, which nobody edits until this transaction ends.

    None: the file has no transcript.
    """
    transcript: Transcript | None = await session.scalar(
        select(Transcript)
        .where(Transcript.media_file_id == file_id)
        .options(load_only(Transcript.turns, Transcript.reassigned))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if transcript is None:
        return None
    rows = await session.scalars(
        select(Speaker)
        .where(Speaker.media_file_id == file_id)
        .order_by(Speaker.label)
        .execution_options(populate_existing=True)
    )
    speakers = {speaker.id: speaker for speaker in rows}
    ids = list(speakers)
    rejected = await session.execute(
        select(ProfileRejection.speaker_id, ProfileRejection.profile_id).where(
            ProfileRejection.speaker_id == one_of(ids)
        )
    )
    apart = await session.execute(
        select(CannotLink.first_id, CannotLink.second_id).where(
            or_(CannotLink.first_id == one_of(ids), CannotLink.second_id == one_of(ids))
        )
    )
    return Estate(
        speakers,
        await _said(session, transcript, list(speakers.values())),
        [(speaker, profile) for speaker, profile in rejected],
        [(first, second) for first, second in apart],
    )


async def _said(
    session: AsyncSession, transcript: Transcript, speakers: Sequence[Speaker]
) -> Mapping[uuid.UUID, Sequence[tuple[float, float]]]:
    """When each of them speaks: as people said, where they gave words to somebody else."""
    said: dict[uuid.UUID, list[tuple[float, float]]] = {speaker.id: [] for speaker in speakers}
    if not transcript.reassigned:
        ids = {speaker.label: speaker.id for speaker in speakers}
        for start, end, label in transcript.turns:
            if label in ids:
                said[ids[label]].append((start, end))
        return said
    rows = await session.execute(
        select(Segment.speaker_id, Segment.start, Segment.end).where(
            Segment.transcript_id == transcript.id
        )
    )
    for speaker_id, start, end in rows:
        if speaker_id in said:
            said[speaker_id].append((start, end))
    return said


async def give(session: AsyncSession, left: Estate, heirs: Mapping[uuid.UUID, uuid.UUID]) -> None:
    """Rule out of the heirs what was ruled out of those whom they follow.

    The heirs are stored, and nobody deletes profiles meanwhile (`speakers.serialise`).
    """
    rejections = [
        {"speaker_id": heirs[speaker], "profile_id": profile}
        for speaker, profile in left.rejections
        if speaker in heirs
    ]
    await _insert(session, ProfileRejection, rejections)
    moved = [tuple(sorted(heirs.get(one, one) for one in pair)) for pair in left.apart]
    there = await _there(session, {one for pair in moved for one in pair} - left.speakers.keys())
    pairs = [
        {"first_id": first, "second_id": second}
        for first, second in moved
        if first in there and second in there
    ]
    await _insert(session, CannotLink, pairs)


async def _there(session: AsyncSession, ids: set[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these speakers that stay until this transaction ends.

    Whom somebody is deleting is left out: waiting could be waiting for each other.
    """
    rows = await session.scalars(
        select(Speaker.id)
        .where(Speaker.id == one_of(ids))
        .order_by(Speaker.id)
        .with_for_update(read=True, key_share=True, skip_locked=True)
    )
    return set(rows)


async def _insert(session: AsyncSession, table: type[Any], rows: list[dict[str, Any]]) -> None:
    if rows:
        await session.execute(insert(table).on_conflict_do_nothing(), rows)
