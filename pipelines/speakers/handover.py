"""Names survive a reprocess: what is known of a speaker goes to who speaks when they did."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Speaker, Transcript
from db.queries import speakers, stage_results, succession
from db.queries.succession import Estate
from pipelines.speakers import notes
from pipelines.speakers.identity import Identity
from pipelines.speakers.kept_voiceprints import VOICEPRINTS
from pipelines.speakers.notes import About
from pipelines.speakers.succession import heirs
from pipelines.speakers.turns import Interval
from serving.speech import Diarization


@dataclass(frozen=True, slots=True)
class Left:
    """What the speakers of a transcript leave when it is replaced."""

    file_id: uuid.UUID
    estate: Estate
    identities: Mapping[uuid.UUID, Identity]
    erased: frozenset[uuid.UUID]
    """Those whose voiceprints a person had forgotten."""


async def take(session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID) -> Left | None:
    """Read it before it is deleted, as the transaction's first lock; None: there is nothing yet.

    Whoever edits the transcript, or decides about this user's speakers, is waited for.
    """
    if not await session.scalar(select(exists().where(Transcript.media_file_id == file_id))):
        return None
    await speakers.serialise(session, user_id, patience=None)
    estate = await succession.estate(session, file_id)
    if estate is None:
        return None
    identities = {speaker_id: Identity.of(row) for speaker_id, row in estate.speakers.items()}
    erased = {speaker_id for speaker_id, row in estate.speakers.items() if row.voiceprint_erased}
    return Left(file_id, estate, identities, frozenset(erased))


async def give(
    session: AsyncSession,
    user_id: uuid.UUID,
    left: Left,
    diarization: Diarization | None,
    stored: Mapping[str, Speaker],
) -> None:
    """Hand names, profiles and what was ruled out to the new speakers, who are stored, by label.

    Profiles that were known by the old voices are noted: theirs are others now, or gone.
    """
    said: dict[str, list[Interval]] = {label: [] for label in stored}
    for turn in diarization.turns if diarization else ():
        said[turn.speaker].append((turn.start, turn.end))
    found = heirs(left.estate.said, said)
    for speaker_id, label in found.items():
        who, heir = left.identities[speaker_id], stored[label]
        heir.profile_id, heir.display_name = who.profile_id, who.display_name
        heir.verified, heir.name_source = who.verified, who.name_source
        if speaker_id in left.erased:
            heir.embedding = heir.embedding_model = None
            heir.voiceprint_erased = True
    await session.flush()
    if left.erased:
        # Also those without an heir were just heard: the parts hold what they sound like.
        await stage_results.drop(session, left.file_id, VOICEPRINTS)
    ids = {speaker_id: stored[label].id for speaker_id, label in found.items()}
    await succession.give(session, left.estate, ids)
    known = {who.profile_id for who in left.identities.values() if who.verified}
    about = [(About.profile, profile_id) for profile_id in known if profile_id is not None]
    await notes.note_all(session, about, user_id)
