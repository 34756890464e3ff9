"""Edits of transcripts and their history."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from db.errors import NotFound
from db.models import MediaFile, NameSource, Segment, Speaker, Transcript, TranscriptEdit, User
from db.queries.media_files import readable_by


class EditAction(StrEnum):
    """What was done to a transcript; new members are added, old ones keep their meaning."""

    text_changed = "text_changed"
    speaker_changed = "speaker_changed"
    segment_changed = "segment_changed"
    segment_split = "segment_split"
    segments_merged = "segments_merged"
    undone = "undone"
    reprocessed = "reprocessed"
    speakers_named = "speakers_named"
    speakers_merged = "speakers_merged"
    speaker_split = "speaker_split"
    speaker_removed = "speaker_removed"


async def hold(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> tuple[MediaFile, Transcript | None]:
    """A user's file and its transcript, which nobody else changes until this transaction ends.

    Raises:
        NotFound: there is no such file that this user may see.
    """
    # The file first, as whoever deletes it: its row must stay, what is in it may change.
    file: MediaFile | None = await session.scalar(
        select(MediaFile)
        .where(MediaFile.id == file_id, readable_by(user_id))
        .with_for_update(read=True, key_share=True)
    )
    if file is None:
        raise NotFound("file", str(file_id))
    return file, await _held(session, file_id) or await _held(session, file_id)


async def _held(session: AsyncSession, file_id: uuid.UUID) -> Transcript | None:
    """None also where a new transcript took the place of the one that was waited for."""
    transcript: Transcript | None = await session.scalar(
        select(Transcript)
        .where(Transcript.media_file_id == file_id)
        .options(load_only(Transcript.media_file_id, Transcript.version))
        .with_for_update()
    )
    return transcript


async def lines(
    session: AsyncSession, transcript_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> Sequence[Segment]:
    """Segments of a transcript, in order.

    Raises:
        NotFound: one of them is not there.
    """
    rows = await session.scalars(
        select(Segment)
        .where(Segment.transcript_id == transcript_id, Segment.id.in_(ids))
        .order_by(Segment.index)
        .execution_options(populate_existing=True)
    )
    found = rows.all()
    for missing in set(ids) - {row.id for row in found}:
        raise NotFound("segment", str(missing))
    return found


async def replace(
    session: AsyncSession,
    transcript_id: uuid.UUID,
    old: Mapping[uuid.UUID, int],
    new: Sequence[Mapping[str, Any]],
) -> None:
    """Put segments (columns with ids) in the place of others, given with their indexes.

    Those that stay keep their rows; the later ones move up or down.
    """
    first = min(old.values())
    kept = {row["id"] for row in new} & old.keys()
    await session.execute(_quietly(delete(Segment).where(Segment.id.in_(old.keys() - kept))))
    if shift := len(new) - len(old):
        await session.execute(
            _quietly(
                update(Segment)
                .where(Segment.transcript_id == transcript_id, Segment.index >= first + len(old))
                .values(index=Segment.index + shift)
            )
        )
    for index, row in enumerate(new, first):
        values = {**row, "index": index}
        if row["id"] in kept:
            statement = update(Segment).where(Segment.id == row["id"]).values(values)
            await session.execute(_quietly(statement))
        else:
            await session.execute(insert(Segment).values(transcript_id=transcript_id, **values))


def _quietly(statement: Any) -> Any:
    """Whoever reads these rows afterwards reads them anew (`lines`)."""
    return statement.execution_options(synchronize_session=False)


async def texts(session: AsyncSession, transcript_id: uuid.UUID) -> Sequence[str]:
    """What all segments say."""
    found = await session.scalars(
        select(Segment.text).where(Segment.transcript_id == transcript_id)
    )
    return found.all()


async def next_version(
    session: AsyncSession,
    transcript: Transcript,
    *,
    vocabulary: ColumnElement[str] | None,
    reassigned: bool,
) -> int:
    """Count an edit: `vocabulary` where the text changed, `reassigned` where speakers did."""
    changes: dict[str, Any] = {"version": Transcript.version + 1}
    if vocabulary is not None:
        changes["vocabulary"] = vocabulary
    if reassigned:
        changes["reassigned"] = True
    version: int | None = await session.scalar(
        _quietly(
            update(Transcript)
            .where(Transcript.id == transcript.id)
            .values(changes)
            .returning(Transcript.version)
        )
    )
    if version is None:
        raise RuntimeError(f"transcript {transcript.id} is locked, and is not there")
    return version


def note(
    session: AsyncSession,
    file_id: uuid.UUID,
    user_id: uuid.UUID | None,
    version: int,
    action: EditAction,
    before: Any,
    after: Any,
) -> TranscriptEdit:
    """Write an edit into the history."""
    edit = TranscriptEdit(
        id=uuid.uuid4(),
        media_file_id=file_id,
        user_id=user_id,
        version=version,
        action=action,
        before=before,
        after=after,
    )
    session.add(edit)
    return edit


async def get(session: AsyncSession, file_id: uuid.UUID, edit_id: uuid.UUID) -> TranscriptEdit:
    """One edit of a file's transcript.

    Raises:
        NotFound: there is none.
    """
    edit: TranscriptEdit | None = await session.scalar(
        select(TranscriptEdit).where(
            TranscriptEdit.id == edit_id, TranscriptEdit.media_file_id == file_id
        )
    )
    if edit is None:
        raise NotFound("edit", str(edit_id))
    return edit


async def page(
    session: AsyncSession, file_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[list[tuple[TranscriptEdit, User | None]], int]:
    """Edits of a file's transcript with who made them, newest first, and how many there are."""
    matching = TranscriptEdit.media_file_id == file_id
    rows = await session.execute(
        select(TranscriptEdit, User)
        .outerjoin(User, User.id == TranscriptEdit.user_id)
        .where(matching)
        .order_by(TranscriptEdit.version.desc(), TranscriptEdit.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(TranscriptEdit).where(matching))
    return [(edit, user) for edit, user in rows], total or 0


async def add_speaker(session: AsyncSession, file: MediaFile, facts: Mapping[str, Any]) -> Speaker:
    """A speaker whom a person added: `id`, `label`, and `display_name` if it has one."""
    said = facts.get("display_name") is not None
    speaker = Speaker(
        user_id=file.user_id,
        media_file_id=file.id,
        verified=said,
        name_source=NameSource.person if said else None,
        **facts,
    )
    session.add(speaker)
    await session.flush()
    return speaker


async def drop_speakers(session: AsyncSession, ids: Collection[uuid.UUID]) -> None:
    """Forget speakers."""
    await session.execute(_quietly(delete(Speaker).where(Speaker.id.in_(ids))))
