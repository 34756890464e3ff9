"""Turns rows of voices into answers, with whatever hangs on them asked for all of them at once."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from api.display import speaker_color
from api.speakers.change_schemas import Appearance, ChangedVoice, ChangeOut, WhoOut
from api.speakers.schemas import FileVoice, PersonOut
from api.suggestions import SuggestionOut
from cluster.settings import VoiceSettings
from db.errors import NotFound
from db.queries import speaker_lists, speaker_matches
from db.queries.speaker_lists import Listed, PastChange
from db.queries.speaker_matches import Elsewhere, Follower
from pipelines.speakers import suggestions, thresholds
from pipelines.speakers.calibration import calibration
from pipelines.speakers.suggestions import Suggestion

MAX_SUGGESTIONS = 10
"""That a list tells of one voice; all are at /api/speaker-profiles/speakers/{id}/suggestions."""


async def voices(
    session: AsyncSession,
    user_id: uuid.UUID,
    rows: Sequence[Listed],
    settings: VoiceSettings,
) -> list[FileVoice]:
    """The answers about a user's voices; six queries at most, however many they are."""
    if not rows:
        return []
    speakers = [row.speaker for row in rows]
    found = await suggestions.of_speakers(session, user_id, speakers, settings)
    matches = await speaker_matches.counts(session, speakers, thresholds.suggested(settings))
    return [_voice(row, found[row.speaker.id], matches.get(row.speaker.id, 0)) for row in rows]


async def voice(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    settings: VoiceSettings,
) -> FileVoice:
    """The answer about one.

    Raises:
        NotFound: there is none that this user may see.
    """
    # What was changed in this transaction is asked for anew.
    await session.flush()
    rows = await speaker_lists.of_ids(session, user_id, [speaker_id])
    if not rows:
        raise NotFound("speaker", str(speaker_id))
    [answer] = await voices(session, user_id, rows, settings)
    return answer


def _voice(row: Listed, found: Sequence[Suggestion], matches: int) -> FileVoice:
    speaker = row.speaker
    status, text = suggestions.describe(speaker, found)
    alike = [one for one in found if one.similarity is not None]
    best = max(alike, key=lambda one: one.similarity or 0.0, default=None)
    person = None
    if speaker.profile_id is not None:
        person = PersonOut(id=speaker.profile_id, name=row.profile_name or "")
    return FileVoice(
        id=speaker.id,
        media_file_id=speaker.media_file_id,
        file_title=row.file_title,
        label=speaker.label,
        display_name=speaker.display_name,
        resolved_display_name=speaker.display_name or speaker.label,
        profile=person,
        verified=speaker.verified,
        name_source=speaker.name_source,
        cluster_id=speaker.cluster_id,
        confidence=best.similarity if best else None,
        level=best.level if best else None,
        speech_seconds=speaker.speech_seconds,
        clean_seconds=speaker.clean_seconds,
        has_voiceprint=row.has_voiceprint,
        computed_status=status,
        status_text=text,
        status_color=speaker_color(status),
        suggestions=[SuggestionOut.of(one) for one in found[:MAX_SUGGESTIONS]],
        total_suggestions=len(found),
        cross_video_matches=matches,
        created_at=speaker.created_at,
    )


async def appearances(
    session: AsyncSession,
    user_id: uuid.UUID,
    found: Sequence[Elsewhere],
    settings: VoiceSettings,
) -> list[Appearance]:
    """The answers about voices of other files, in their order."""
    rows = await _rows(session, user_id, {one.speaker_id for one in found})
    return [
        _appearance(rows[one.speaker_id], one.similarity, settings, same=one.same_person)
        for one in found
        if one.speaker_id in rows
    ]


async def followers(
    session: AsyncSession,
    user_id: uuid.UUID,
    found: Sequence[Follower],
    settings: VoiceSettings,
) -> list[Appearance]:
    """The same of voices that may get a name."""
    alike = [
        Elsewhere(one.speaker_id, same_person=False, similarity=one.similarity) for one in found
    ]
    return await appearances(session, user_id, alike, settings)


async def _rows(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, Listed]:
    rows = await speaker_lists.of_ids(session, user_id, ids)
    return {row.speaker.id: row for row in rows}


def _appearance(
    row: Listed, similarity: float | None, settings: VoiceSettings, *, same: bool
) -> Appearance:
    speaker = row.speaker
    meaning = calibration(speaker.embedding_model or "", settings)
    return Appearance(
        media_file_id=speaker.media_file_id,
        file_title=row.file_title,
        speaker_id=speaker.id,
        label=speaker.label,
        display_name=speaker.display_name,
        same_person=same,
        verified=speaker.verified,
        similarity=similarity,
        level=None if similarity is None else meaning.level(similarity),
        speech_seconds=speaker.speech_seconds,
    )


def change(past: PastChange) -> ChangeOut:
    """The answer about a change."""
    return ChangeOut(
        id=past.id,
        action=past.action,
        created_at=past.created_at,
        undone=past.undone,
        total_speakers=past.speakers,
        speakers=[
            ChangedVoice(
                speaker_id=uuid.UUID(speaker_id),
                before=WhoOut.model_validate(past.before[speaker_id]),
                after=WhoOut.model_validate(became),
            )
            for speaker_id, became in sorted(past.after.items())
        ],
    )
