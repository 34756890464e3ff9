"""Routes of people across files: /api/speaker-profiles/profiles."""

import asyncio
import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.speaker_profiles import erasing
from api.speaker_profiles.schemas import (
    Erased,
    OccurrenceOut,
    ProfileChanges,
    ProfileIn,
    ProfileOut,
)
from api.text import one_line
from db.queries import profile_voices, profiles, speaker_collections, speakers
from pipelines.speakers import people

router = APIRouter(
    prefix="/api/speaker-profiles/profiles", tags=["speaker profiles"], route_class=EnvelopeRoute
)

Search = Annotated[
    Annotated[str, Field(max_length=255), one_line] | None,
    Query(description="A part of the name, in any letter case"),
]


@router.get(
    "",
    summary="List profiles",
    response_description="Profiles",
    responses=owned_errors(),
)
async def list_profiles(
    session: Session,
    user: CurrentUser,
    paging: Paging,
    search: Search = None,
    collection_id: Annotated[
        uuid.UUID | None, Query(description="Those in this speaker collection")
    ] = None,
) -> Page[ProfileOut]:
    """Your people, by name."""
    if collection_id is not None:
        await speaker_collections.require(session, user.id, collection_id)
    found, total = await profiles.page(
        session,
        user.id,
        search=search,
        collection_id=collection_id,
        limit=paging.page_size,
        offset=paging.offset,
    )
    return paging.of([ProfileOut.of(one) for one in found], total)


@router.post(
    "",
    status_code=201,
    summary="Make a profile",
    response_description="Profile made",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error, ErrorType.name_taken),
)
async def create_profile(session: Session, user: CurrentUser, wanted: ProfileIn) -> ProfileOut:
    """A person without voices; naming a speaker makes the profile by itself."""
    await speakers.serialise(session, user.id)
    made = await profiles.add(session, user.id, wanted.name, wanted.description)
    return ProfileOut.of(await profiles.described(session, user.id, made.id))


@router.get(
    "/{profile_id}", summary="One profile", response_description="Profile", responses=owned_errors()
)
async def get_profile(session: Session, user: CurrentUser, profile_id: uuid.UUID) -> ProfileOut:
    """Who it is, and what is known by it."""
    return ProfileOut.of(await profiles.described(session, user.id, profile_id))


@router.put(
    "/{profile_id}",
    summary="Change a profile",
    response_description="Profile changed",
    responses=owned_errors(ErrorType.name_taken),
)
async def change_profile(
    session: Session, user: CurrentUser, profile_id: uuid.UUID, wanted: ProfileChanges
) -> ProfileOut:
    """Changes the name, the description, or both.

    With the name, all of the person's voices are called otherwise: transcripts, exports, filters.
    """
    await people.change(session, user.id, profile_id, wanted.changes())
    return ProfileOut.of(await profiles.described(session, user.id, profile_id))


@router.delete(
    "/{profile_id}", status_code=204, summary="Delete a profile", responses=owned_errors()
)
async def delete_profile(services: App, user: CurrentUser, profile_id: uuid.UUID) -> None:
    """Deletes the person with voiceprint and clips; the voices of files keep the name as a label.

    So transcripts read as before. To have the name and the voiceprints gone too, `erase`.
    """
    await asyncio.shield(erasing.delete(services, user.id, profile_id))


@router.post(
    "/{profile_id}/merge/{target_profile_id}",
    summary="Merge two profiles",
    response_description="Profiles merged",
    responses=owned_errors(),
)
async def merge_profiles(
    session: Session,
    user: CurrentUser,
    profile_id: uuid.UUID,
    target_profile_id: uuid.UUID,
) -> ProfileOut:
    """Gives voices, clips and places in collections of one profile to the other, and deletes it."""
    if profile_id == target_profile_id:
        raise ApiError(
            ErrorType.validation_error,
            "A profile cannot be merged with itself: name another one as the target.",
        )
    await people.merge(session, user.id, profile_id, target_profile_id)
    return ProfileOut.of(await profiles.described(session, user.id, target_profile_id))


@router.get(
    "/{profile_id}/occurrences",
    summary="Where a person speaks",
    response_description="Files",
    responses=owned_errors(),
)
async def list_occurrences(
    session: Session, user: CurrentUser, profile_id: uuid.UUID, paging: Paging
) -> Page[OccurrenceOut]:
    """The files in which the person speaks, newest first."""
    await profiles.require(session, user.id, profile_id)
    found, total = await profile_voices.occurrences(
        session, user.id, profile_id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([OccurrenceOut.of(one) for one in found], total)


@router.post(
    "/{profile_id}/erase",
    summary="Erase a person",
    response_description="Person erased",
    responses=owned_errors(),
)
async def erase_profile(services: App, user: CurrentUser, profile_id: uuid.UUID) -> Erased:
    """Forgets a person everywhere: profile, names, voiceprints, clips, histories. No way back.

    The voices of the files stay as nobody's, as do voices without a profile of the same name; their
    voiceprints are not computed again. What people wrote or said stays: text of transcripts and
    comments, names of files. The audit log keeps the profile's id.
    """
    return await asyncio.shield(erasing.erase(services, user.id, profile_id))
