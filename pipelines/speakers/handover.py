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
from pipelines.speakers.erasure import VOICEPRINTS
from pipelines.speakers.identity import Identity
from pipelines.speakers.notes import About
from pipelines.speakers.succession import heirs
from pipelines.speakers.turns import Interval
from serving.speech import Diarization


@dataclass(frozen=True, slots=True)
class Left:
    """What the speakers of a transcript leave when it is replaced."""

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
    await speakers.serialise(session, user_id)
    estate = await succession.estate(session, file_id)
    if estate is None:
        return None
    identities = {speaker_id: Identity.of(row) for speaker_id, row in estate.speakers.items()}
    erased = {speaker_id for speaker_id, row in estate.speakers.items() if row.voiceprint_erased}
    return Left(estate, identities, frozenset(erased))


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
            heir.embedding, heir.voiceprint_erased = None, True
            # Its parts hold the voiceprint that was just computed.
            await stage_results.drop(session, heir.media_file_id, VOICEPRINTS)
    await session.flush()
    ids = {speaker_id: stored[label].id for speaker_id, label in found.items()}
    await succession.give(session, left.estate, ids)
    known = {who.profile_id for who in left.identities.values() if who.verified}
    about = [(About.profile, profile_id) for profile_id in known if profile_id is not None]
    await notes.note_all(session, about, user_id)
