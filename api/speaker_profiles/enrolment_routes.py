"""Routes of clips in which people speak: /api/speaker-profiles/profiles/{id}/enrolments."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, File, UploadFile

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.idempotency import IDEMPOTENT, Once
from api.openapi import owned_errors
from api.speaker_profiles import enrolling
from api.speaker_profiles.enrolment_schemas import EnrolmentAccepted, EnrolmentOut
from db.queries import enrolments, profiles

router = APIRouter(
    prefix="/api/speaker-profiles/profiles/{profile_id}/enrolments",
    tags=["speaker profiles"],
    route_class=EnvelopeRoute,
    form_limits={"max_files": 1, "max_fields": 20},
)

CLIP_REFUSALS = (
    ErrorType.conflict,
    ErrorType.upload_too_large,
    ErrorType.invalid_media,
    ErrorType.unsupported_media,
    ErrorType.no_audio,
    ErrorType.audio_too_short,
    ErrorType.audio_too_long,
    ErrorType.decoder_limit,
    ErrorType.queue_full,
    ErrorType.speech_unavailable,
    ErrorType.store_unavailable,
)


@router.get(
    "", summary="List a person's clips", response_description="Clips", responses=owned_errors()
)
async def list_enrolments(
    session: Session, user: CurrentUser, profile_id: uuid.UUID
) -> Sequence[EnrolmentOut]:
    """All of them, newest first; a person has few (RAYSCRIBE_VOICES_MAX_ENROLMENTS_PER_PROFILE)."""
    await profiles.require(session, user.id, profile_id)
    return [EnrolmentOut.of(row) for row in await enrolments.of_profile(session, profile_id)]


@router.post(
    "",
    status_code=202,
    summary="Enrol a person by a clip",
    response_description="Clip accepted, task queued",
    responses=owned_errors(*CLIP_REFUSALS, *IDEMPOTENT),
)
async def enrol(
    services: App,
    user: CurrentUser,
    once: Once,
    profile_id: uuid.UUID,
    file: Annotated[UploadFile, File(description="A recording in which only this person speaks")],
) -> EnrolmentAccepted:
    """Send a clip, as multipart form data; its voiceprint is computed by a task of its own.

    Then the person is recognised in recordings without anybody naming them there first. The clip
    has to fit into one request (RAYSCRIBE_MAX_BODY_BYTES).
    """
    work = enrolling.take_in(services, user.id, profile_id, file, once)
    # Finished although the client hangs up: the clip is either taken in or removed.
    return await asyncio.shield(asyncio.ensure_future(work))


@router.delete(
    "/{enrolment_id}", status_code=204, summary="Delete a clip", responses=owned_errors()
)
async def delete_enrolment(
    services: App, user: CurrentUser, profile_id: uuid.UUID, enrolment_id: uuid.UUID
) -> None:
    """Deletes the clip and its voiceprint; that of the person is computed without it."""
    await asyncio.shield(enrolling.remove(services, user.id, profile_id, enrolment_id))
