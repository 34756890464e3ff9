"""Takes in clips in which a person speaks: checked and stored first, then a row and its task."""

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta

from fastapi import UploadFile
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.idempotency import Guarded, Keeper
from api.speaker_profiles.enrolment_schemas import EnrolmentAccepted, EnrolmentOut
from api.waiting import task_answer
from cluster.settings import VoiceSettings
from db.engine import session_scope
from db.models import Enrolment
from db.objects.keys import enrolment_key
from db.queries import enrolments, profiles, speakers
from pipelines import backlog, leftovers
from pipelines.names import display_name
from pipelines.speakers import notes, requests
from pipelines.speakers.notes import About
from serving.containers import HEAD_BYTES, sniff
from serving.errors import AudioTooLong, AudioTooShort
from serving.speech import MediaSource

PROBE_URL_LIFETIME = timedelta(minutes=15)
ARRIVAL_TIME = timedelta(hours=1)
"""When a stored clip without a row counts as a leftover: taking it in is over long before."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is being taken in, and where it is stored."""

    id: uuid.UUID
    user_id: uuid.UUID
    profile_id: uuid.UUID
    filename: str
    size_bytes: int

    @property
    def key(self) -> str:
        """Where its bytes are."""
        return enrolment_key(self.user_id, self.profile_id, self.id)


async def take_in(
    services: Services, user_id: uuid.UUID, profile_id: uuid.UUID, file: UploadFile, once: Guarded
) -> EnrolmentAccepted:
    """Check, store and queue a clip.

    Raises:
        ApiError: it is too large, or the profile has as many clips as it may have.
        NotFound: there is no such profile that this user may see.
        SpeechError: it is no recording that is accepted, too short or too long.
    """
    _refuse_large(file.size or 0, services.voices)
    data = await file.read()
    clip = Clip(uuid.uuid4(), user_id, profile_id, display_name(file.filename or ""), len(data))
    sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    async with once.guarded({"sha256": sha256, "filename": clip.filename}) as keep:
        return await _store(services, clip, data, keep)


def _refuse_large(size_bytes: int, settings: VoiceSettings) -> None:
    if size_bytes > settings.max_enrolment_bytes:
        raise ApiError(
            ErrorType.upload_too_large,
            f"The clip has {size_bytes} bytes, and at most {settings.max_enrolment_bytes} are "
            "accepted: half a minute in which the person speaks alone is plenty.",
        )


async def _store(services: Services, clip: Clip, data: bytes, keep: Keeper) -> EnrolmentAccepted:
    async with session_scope(services.sessions) as session:
        await _look(session, clip, services.voices)
        sniff(data[:HEAD_BYTES])
        await leftovers.note(session, clip.key, after=ARRIVAL_TIME)
    try:
        await services.objects.put(clip.key, data)
        seconds = await _probe(services, clip)
        async with session_scope(services.sessions) as session:
            accepted = await _record(services, session, clip, seconds)
            return await keep(session, accepted)
    except BaseException:
        await _discard(services, clip)
        raise


async def _look(session: AsyncSession, clip: Clip, settings: VoiceSettings) -> None:
    """Refuse what has no room."""
    await profiles.require(session, clip.user_id, clip.profile_id)
    there = await enrolments.count(session, clip.profile_id)
    if there >= settings.max_enrolments_per_profile:
        raise ApiError(
            ErrorType.conflict,
            f"This person has {there} clips, and {settings.max_enrolments_per_profile} is the "
            "most: delete one first.",
        )


async def _probe(services: Services, clip: Clip) -> float:
    """Its length in seconds as the header says, 0 where it does not."""
    url = await services.objects.presign_get(clip.key, PROBE_URL_LIFETIME)
    header = await services.prober.probe(MediaSource(url, clip.size_bytes))
    if header.duration is None:
        return 0.0
    least, most = services.voices.min_enrolment_seconds, services.voices.max_enrolment_seconds
    if header.duration < least:
        raise AudioTooShort(
            f"The clip is {header.duration:.1f} s long, and it takes {least:g} s of speech: send "
            "a longer one."
        )
    if header.duration > most:
        raise AudioTooLong(
            f"The clip is {header.duration:.1f} s long, and at most {most:g} s are accepted: send "
            "a part of it in which the person speaks alone."
        )
    return header.duration


async def _record(
    services: Services, session: AsyncSession, clip: Clip, seconds: float
) -> EnrolmentAccepted:
    await profiles.get(session, clip.user_id, clip.profile_id, lock=True)
    await _look(session, clip, services.voices)
    # After every wait: its lock is the whole installation's.
    await backlog.admit(session, clip.user_id, seconds, services.queue)
    await leftovers.forget(session, clip.key)
    row = Enrolment(
        id=clip.id,
        profile_id=clip.profile_id,
        filename=clip.filename,
        object_key=clip.key,
        size_bytes=clip.size_bytes,
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    task = await requests.of_enrolment(session, clip.user_id, clip.id, seconds)
    return EnrolmentAccepted(enrolment=EnrolmentOut.of(row), task=await task_answer(session, task))


async def _discard(services: Services, clip: Clip) -> None:
    """Remove a clip that was not taken in; as `pipelines.intake.discard`, the note tells."""
    async with session_scope(services.sessions) as session:
        if not await leftovers.still_noted(session, clip.key):
            return
    await leftovers.remove_now(services.sessions, services.objects, clip.key)


async def remove(
    services: Services, user_id: uuid.UUID, profile_id: uuid.UUID, enrolment_id: uuid.UUID
) -> None:
    """Delete a clip; the voiceprint follows. Its task, if it still runs, finds nothing."""
    async with session_scope(services.sessions) as session:
        await speakers.serialise(session, user_id)
        await profiles.require(session, user_id, profile_id, lock=True)
        key = await enrolments.remove(session, user_id, profile_id, enrolment_id)
        await leftovers.note(session, key, after=timedelta(0))
        await notes.note(session, About.profile, profile_id, user_id)
    await leftovers.remove_now(services.sessions, services.objects, key)
