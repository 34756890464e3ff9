"""Routes about whose a voice of a file is: /api/speaker-profiles/speakers."""

import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.openapi import owned_errors
from api.speaker_profiles.schemas import AssignedOut, Assignment
from api.suggestions import SuggestionOut
from db.models import ChangeAction
from db.queries import profiles, speaker_rulings, speakers
from pipelines.speakers import identity, suggestions
from pipelines.speakers.identity import NOBODY, Identity

router = APIRouter(
    prefix="/api/speaker-profiles/speakers", tags=["speaker profiles"], route_class=EnvelopeRoute
)


@router.post(
    "/{speaker_id}/assign-profile",
    summary="Say whose a voice is",
    response_description="Profile assigned",
    responses=owned_errors(),
)
async def assign_profile(
    session: Session, user: CurrentUser, speaker_id: uuid.UUID, wanted: Assignment
) -> AssignedOut:
    """Gives a voice of a file to a person, verified, in the place of whoever it was before.

    What was ruled out before about the two is forgotten.
    """
    [speaker] = await speakers.hold(session, user.id, [speaker_id])
    profile = await profiles.get(session, user.id, wanted.profile_id, lock=True)
    await speaker_rulings.lift(session, [speaker_id], profile.id)
    who = Identity.person(profile)
    await identity.change(session, user.id, [(speaker, who)], ChangeAction.named)
    return AssignedOut.of(speaker)


@router.delete(
    "/{speaker_id}/profile",
    summary="Say that a voice is nobody's",
    response_description="Profile taken away",
    responses=owned_errors(),
)
async def unassign_profile(
    session: Session, user: CurrentUser, speaker_id: uuid.UUID
) -> AssignedOut:
    """Takes a voice from its person; the name goes too. One without a profile stays as it is."""
    [speaker] = await speakers.hold(session, user.id, [speaker_id])
    if speaker.profile_id is not None:
        await identity.change(session, user.id, [(speaker, NOBODY)], ChangeAction.unassigned)
    return AssignedOut.of(speaker)


@router.get(
    "/{speaker_id}/suggestions",
    summary="Who a voice may be",
    response_description="Suggestions",
    responses=owned_errors(),
)
async def list_suggestions(
    services: App,
    session: Session,
    user: CurrentUser,
    speaker_id: uuid.UUID,
    threshold: Annotated[
        float | None,
        Query(
            ge=0,
            le=1,
            description="Least cosine. Left out: from which on the model's matches count as medium;"
            " weaker ones are not kept",
        ),
    ] = None,
) -> Sequence[SuggestionOut]:
    """The people, then other names, that a voice sounds like, each once and the best first.

    Whom somebody ruled out, or who it is already, is not among them.
    """
    speaker = await speakers.get(session, user.id, speaker_id)
    found = await suggestions.of_speakers(
        session, user.id, [speaker], services.voices, threshold=threshold
    )
    return [SuggestionOut.of(one) for one in found[speaker_id]]
