"""Routes that say which speakers a file has: two that are one, one that is two."""

import uuid

from fastapi import APIRouter

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import owned_errors
from api.speakers import answers
from api.speakers.schemas import FileVoice, SpeakerSplit, SplitOut
from pipelines.speakers import structure

router = APIRouter(prefix="/api/speakers", tags=["speakers"], route_class=EnvelopeRoute)


@router.post(
    "/{speaker_id}/merge/{target_speaker_id}",
    summary="Merge two speakers of a file",
    response_description="Speakers merged",
    responses=owned_errors(ErrorType.conflict),
)
async def merge_speakers(
    services: App,
    session: Session,
    user: CurrentUser,
    speaker_id: uuid.UUID,
    target_speaker_id: uuid.UUID,
) -> FileVoice:
    """Gives all words of the first to the target, and deletes the first. This cannot be undone.

    The target stays who it is; where it has no name, it gets the first one's. Voices of different
    files are one person's by their profile: they are not merged.
    """
    await structure.merge(session, user.id, speaker_id, target_speaker_id)
    return await answers.voice(session, user.id, target_speaker_id, services.voices)


@router.post(
    "/{speaker_id}/split",
    status_code=201,
    summary="Split a speaker",
    response_description="Speaker split",
    responses=owned_errors(ErrorType.conflict),
)
async def split_speaker(
    services: App,
    session: Session,
    user: CurrentUser,
    speaker_id: uuid.UUID,
    wanted: SpeakerSplit,
) -> SplitOut:
    """Gives some of its segments to a new speaker of the same file.

    The voiceprints of both are made by a task from what each of them says; until then the new one
    has none. `POST …/merge/…` makes one speaker of the two again.
    """
    made, task = await structure.split(
        session,
        user.id,
        speaker_id,
        set(wanted.segment_ids),
        wanted.display_name,
        services.voices.max_speakers_per_file,
    )
    return SplitOut(
        source=await answers.voice(session, user.id, speaker_id, services.voices),
        speaker=await answers.voice(session, user.id, made, services.voices),
        task_id=task.id if task else None,
    )
