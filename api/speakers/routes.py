"""Routes of voices: /api/speakers."""

import uuid

from fastapi import APIRouter, Response

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.speakers import answers
from api.speakers.filters import Narrowed
from api.speakers.schemas import CleanupOut, FileVoice, NameOut, SpeakerChanges, SpeakerIn
from db.queries import edits, speaker_lists, speakers
from pipelines.speakers import erasure, naming, orphans, structure

router = APIRouter(prefix="/api/speakers", tags=["speakers"], route_class=EnvelopeRoute)

LISTED = errors(*SIGNED_IN_TYPES, ErrorType.validation_error)
UNKEPT = {"Cache-Control": "no-store"}
"""Suggestions are others as soon as anybody is named, in whichever file."""


@router.get("", summary="List speakers", response_description="Speakers", responses=LISTED)
async def list_speakers(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    filters: Narrowed,
    paging: Paging,
) -> Page[FileVoice]:
    """The voices of your files that meet every filter, newest first, and who they may be."""
    response.headers.update(UNKEPT)
    rows, total = await speaker_lists.page(
        session, user.id, filters, limit=paging.page_size, offset=paging.offset
    )
    return paging.of(await answers.voices(session, user.id, rows, services.voices), total)


@router.get(
    "/names", summary="List speakers' names", response_description="Names", responses=LISTED
)
async def list_names(session: Session, user: CurrentUser, paging: Paging) -> Page[NameOut]:
    """What the voices of your files are called, most used first: for filters of lists."""
    rows, total = await speaker_lists.names(
        session, user.id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([NameOut.model_validate(row) for row in rows], total)


@router.post(
    "",
    status_code=201,
    summary="Add a speaker",
    response_description="Speaker added",
    responses=owned_errors(ErrorType.transcript_not_ready, ErrorType.conflict),
)
async def add_speaker(
    services: App, session: Session, user: CurrentUser, wanted: SpeakerIn
) -> FileVoice:
    """Somebody whom diarization did not find: segments can be given to them.

    They are the person of that name, who is made where there is none.
    """
    await speakers.serialise(session, user.id)
    file, transcript = await edits.hold(session, user.id, wanted.media_file_id)
    if transcript is None:
        raise ApiError(
            ErrorType.transcript_not_ready,
            f"The file is {file.status}; it has speakers when it is completed.",
            file_status=file.status,
        )
    limit = services.voices.max_speakers_per_file
    speaker_id = await structure.add(session, file, wanted.display_name, limit)
    return await answers.voice(session, user.id, speaker_id, services.voices)


@router.post(
    "/cleanup-orphaned-embeddings",
    summary="Remove orphaned voiceprints",
    response_description="Orphaned voiceprints removed",
    responses=errors(*SIGNED_IN_TYPES),
)
async def clean_up(services: App, user: CurrentUser) -> CleanupOut:
    """Removes from the vector store what no voice or profile of yours stands for any more.

    There is nothing to do, unless a store was restored from a backup or changed by hand.
    """
    swept = await orphans.remove(services.sessions, services.vectors, user.id)
    return CleanupOut(checked=swept.looked_at, removed=swept.removed)


@router.get(
    "/{speaker_id}",
    summary="Read a speaker",
    response_description="Speaker",
    responses=owned_errors(),
)
async def get_speaker(
    services: App, session: Session, user: CurrentUser, response: Response, speaker_id: uuid.UUID
) -> FileVoice:
    """A voice of one of your files, who it is, and who it may be."""
    response.headers.update(UNKEPT)
    return await answers.voice(session, user.id, speaker_id, services.voices)


@router.put(
    "/{speaker_id}",
    summary="Name a speaker",
    response_description="Speaker changed",
    responses=owned_errors(ErrorType.name_taken, ErrorType.conflict),
)
async def change_speaker(
    services: App,
    session: Session,
    user: CurrentUser,
    speaker_id: uuid.UUID,
    wanted: SpeakerChanges,
) -> FileVoice:
    """Says who it is, which verifies it; exports, subtitles, lists and figures follow.

    `GET /api/speakers/{speaker_id}/propagation` shows which other voices may be the same person's;
    `POST /api/speakers/changes/{change_id}/undo` takes it back.
    """
    if wanted.display_name is not None:
        await naming.call(session, user.id, speaker_id, wanted.display_name, wanted.profile_action)
    elif wanted.names:
        await naming.unname(session, user.id, speaker_id)
    else:
        await naming.confirm(session, user.id, speaker_id, verified=bool(wanted.verified))
    return await answers.voice(session, user.id, speaker_id, services.voices)


@router.delete(
    "/{speaker_id}",
    status_code=204,
    summary="Delete a speaker",
    responses=owned_errors(),
)
async def delete_speaker(session: Session, user: CurrentUser, speaker_id: uuid.UUID) -> None:
    """Deletes the voice from its file: its words stay, and are nobody's."""
    await structure.remove(session, user.id, speaker_id)


@router.delete(
    "/{speaker_id}/voiceprint",
    status_code=204,
    summary="Forget a speaker's voiceprint",
    responses=owned_errors(),
)
async def forget_voiceprint(session: Session, user: CurrentUser, speaker_id: uuid.UUID) -> None:
    """Deletes what the voice sounds like, everywhere; its name and words stay.

    It is suggested to nobody any more, and nobody to it, also when the file is computed anew.
    """
    held = await speakers.hold(session, user.id, {speaker_id})
    await erasure.forget_voiceprints(session, user.id, held)
