"""Routes that decide who voices are across files: verify, propagate, undo; and where they speak."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.speakers import answers
from api.speakers.change_schemas import (
    Appearance,
    ChangeOut,
    Propagation,
    PropagationOut,
    SkippedVoice,
    UndoOut,
    Verification,
    VerifyAction,
)
from api.speakers.schemas import FileVoice, PersonName, PersonOut
from db.queries import speaker_lists, speaker_matches, speakers
from pipelines.speakers import identity, naming, propagation
from pipelines.speakers.calibration import calibration
from pipelines.speakers.naming import ProfileAction

router = APIRouter(prefix="/api/speakers", tags=["speakers"], route_class=EnvelopeRoute)

UNKEPT = {"Cache-Control": "no-store"}


@router.get(
    "/changes",
    summary="List changes of who speakers are",
    response_description="Changes",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_changes(session: Session, user: CurrentUser, paging: Paging) -> Page[ChangeOut]:
    """What was decided about your voices, newest first; each can be undone."""
    found, total = await speaker_lists.changes(
        session, user.id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([answers.change(each) for each in found], total)


@router.post(
    "/changes/{change_id}/undo",
    summary="Undo a change of who speakers are",
    response_description="Change undone",
    responses=owned_errors(ErrorType.conflict),
)
async def undo_change(session: Session, user: CurrentUser, change_id: uuid.UUID) -> UndoOut:
    """Puts voices back to who they were before, unless somebody changed them since.

    That is a change too: undoing it makes the first one again.
    """
    await speakers.serialise(session, user.id)
    entry = await speaker_lists.change(session, user.id, change_id)
    left = await identity.undo(session, entry)
    return UndoOut(change_id=entry.id, restored=len(entry.after) - len(left), changed_since=left)


@router.post(
    "/{speaker_id}/verify",
    summary="Accept or reject who a speaker may be",
    response_description="Speaker changed",
    responses=owned_errors(ErrorType.name_taken, ErrorType.conflict),
)
async def verify_speaker(
    services: App, session: Session, user: CurrentUser, speaker_id: uuid.UUID, said: Verification
) -> FileVoice:
    """What is accepted verifies the voice; what is rejected is never suggested for it again."""
    if said.profile_name is not None:
        action = ProfileAction.create_new_profile
        await naming.call(session, user.id, speaker_id, said.profile_name, action)
    elif said.action is VerifyAction.accept:
        await naming.accept(session, user.id, speaker_id, said.profile_id, said.speaker_id)
    else:
        await naming.reject(session, user.id, speaker_id, said.profile_id, said.speaker_id)
    return await answers.voice(session, user.id, speaker_id, services.voices)


@router.get(
    "/{speaker_id}/cross-media",
    summary="List where else a speaker speaks",
    response_description="Voices of other files",
    responses=owned_errors(),
)
async def list_appearances(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    speaker_id: uuid.UUID,
    paging: Paging,
) -> Page[Appearance]:
    """Voices of your other files that are the same person's, then those that sound alike."""
    response.headers.update(UNKEPT)
    speaker = await speakers.get(session, user.id, speaker_id)
    medium = calibration(speaker.embedding_model or "", services.voices).medium
    found, total = await speaker_matches.elsewhere(
        session, speaker, medium, limit=paging.page_size, offset=paging.offset
    )
    rows = await answers.appearances(session, user.id, found, services.voices)
    return paging.of(rows, total)


@router.get(
    "/{speaker_id}/propagation",
    summary="Preview whom a name would be given to",
    response_description="Voices that sound alike",
    responses=owned_errors(ErrorType.conflict),
)
async def preview_propagation(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    speaker_id: uuid.UUID,
    paging: Paging,
    display_name: Annotated[
        PersonName | None,
        Query(description="What they would be called; left out: as this voice is"),
    ] = None,
) -> Page[Appearance]:
    """Voices without a name that sound like this one, or like the person of that name.

    Most similar first, without those of which somebody said that they are not the same person's.
    """
    response.headers.update(UNKEPT)
    found, total = await propagation.preview(
        session,
        user.id,
        speaker_id,
        display_name,
        services.voices,
        limit=paging.page_size,
        offset=paging.offset,
    )
    return paging.of(await answers.followers(session, user.id, found, services.voices), total)


@router.post(
    "/{speaker_id}/propagation",
    summary="Give a speaker's name to others",
    response_description="Name given",
    responses=owned_errors(ErrorType.conflict),
)
async def propagate(
    services: App, session: Session, user: CurrentUser, speaker_id: uuid.UUID, wanted: Propagation
) -> PropagationOut:
    """Names exactly these voices of the preview, and this one, in one change that can be undone.

    Each is looked at again; one that does not sound alike any more, was named or ruled out is
    skipped.
    """
    limit = services.voices.max_propagated
    if len(wanted.speaker_ids) > limit:
        raise ApiError(
            ErrorType.validation_error,
            f"speaker_ids: at most {limit} voices are named at a time; send them in parts.",
        )
    done = await propagation.apply(
        session,
        user.id,
        speaker_id,
        wanted.speaker_ids,
        wanted.display_name,
        services.voices,
    )
    return PropagationOut(
        change_id=done.change.id if done.change else None,
        profile=PersonOut.model_validate(done.profile),
        named=done.named,
        skipped=[SkippedVoice(speaker_id=one, reason=why) for one, why in done.skipped.items()],
    )
