"""Routes of collections of speakers: /api/speaker-profiles/collections."""

import uuid

from fastapi import APIRouter

from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.speaker_profiles.collection_schemas import (
    ProfileList,
    ProfilesChanged,
    SpeakerCollectionChanges,
    SpeakerCollectionIn,
    SpeakerCollectionOut,
)
from api.speaker_profiles.schemas import ProfileOut
from db.queries import profiles, speakers
from db.queries import speaker_collections as rows

router = APIRouter(
    prefix="/api/speaker-profiles/collections",
    tags=["speaker profiles"],
    route_class=EnvelopeRoute,
)


@router.get(
    "",
    summary="List speaker collections",
    response_description="Speaker collections",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_speaker_collections(
    session: Session, user: CurrentUser, paging: Paging
) -> Page[SpeakerCollectionOut]:
    """Your collections of speakers, by name."""
    found, total = await rows.page(session, user.id, limit=paging.page_size, offset=paging.offset)
    return paging.of([SpeakerCollectionOut.of(*row) for row in found], total)


@router.post(
    "",
    status_code=201,
    summary="Make a speaker collection",
    response_description="Speaker collection made",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error, ErrorType.name_taken),
)
async def create_speaker_collection(
    session: Session, user: CurrentUser, wanted: SpeakerCollectionIn
) -> SpeakerCollectionOut:
    """An empty collection of speakers."""
    made = await rows.add(session, user.id, wanted.name, wanted.description)
    return SpeakerCollectionOut.of(made, 0)


@router.get(
    "/{speaker_collection_id}",
    summary="One speaker collection",
    response_description="Speaker collection",
    responses=owned_errors(),
)
async def get_speaker_collection(
    session: Session, user: CurrentUser, speaker_collection_id: uuid.UUID
) -> SpeakerCollectionOut:
    """What it is and how many profiles are in it; `…/profiles` lists them."""
    return SpeakerCollectionOut.of(*await rows.get(session, user.id, speaker_collection_id))


@router.put(
    "/{speaker_collection_id}",
    summary="Change a speaker collection",
    response_description="Speaker collection changed",
    responses=owned_errors(ErrorType.name_taken),
)
async def change_speaker_collection(
    session: Session,
    user: CurrentUser,
    speaker_collection_id: uuid.UUID,
    wanted: SpeakerCollectionChanges,
) -> SpeakerCollectionOut:
    """Changes the name, the description, or both."""
    changed = await rows.change(session, user.id, speaker_collection_id, wanted.changes())
    return SpeakerCollectionOut.of(*changed)


@router.delete(
    "/{speaker_collection_id}",
    status_code=204,
    summary="Delete a speaker collection",
    responses=owned_errors(),
)
async def delete_speaker_collection(
    session: Session, user: CurrentUser, speaker_collection_id: uuid.UUID
) -> None:
    """Deletes the collection; the profiles that were in it stay."""
    await rows.remove(session, user.id, speaker_collection_id)


@router.get(
    "/{speaker_collection_id}/profiles",
    summary="List a collection's profiles",
    response_description="Profiles",
    responses=owned_errors(),
)
async def list_collected_profiles(
    session: Session, user: CurrentUser, speaker_collection_id: uuid.UUID, paging: Paging
) -> Page[ProfileOut]:
    """The people in it, by name."""
    await rows.require(session, user.id, speaker_collection_id)
    found, total = await profiles.page(
        session,
        user.id,
        collection_id=speaker_collection_id,
        limit=paging.page_size,
        offset=paging.offset,
    )
    return paging.of([ProfileOut.of(one) for one in found], total)


@router.post(
    "/{speaker_collection_id}/profiles",
    summary="Put profiles into a collection",
    response_description="Profiles are in the collection",
    responses=owned_errors(),
)
async def put_profiles(
    session: Session, user: CurrentUser, speaker_collection_id: uuid.UUID, wanted: ProfileList
) -> ProfilesChanged:
    """Up to 1000; where one of them is not yours, none is put in. Again changes nothing."""
    await speakers.serialise(session, user.id)
    await rows.require(session, user.id, speaker_collection_id, lock=True)
    added = await rows.put_in(session, user.id, speaker_collection_id, set(wanted.profile_ids))
    _, count = await rows.get(session, user.id, speaker_collection_id)
    return ProfilesChanged(changed=added, profile_count=count)


# A body of DELETE has no defined meaning (RFC 9110, 9.3.5): clients and proxies drop it.
@router.post(
    "/{speaker_collection_id}/profiles/remove",
    summary="Take profiles out of a collection",
    response_description="Profiles are not in the collection",
    responses=owned_errors(),
)
async def remove_profiles(
    session: Session, user: CurrentUser, speaker_collection_id: uuid.UUID, wanted: ProfileList
) -> ProfilesChanged:
    """Up to 1000; where one of them is not yours, none is taken out. The profiles stay."""
    await speakers.serialise(session, user.id)
    await rows.require(session, user.id, speaker_collection_id, lock=True)
    removed = await rows.take_out(session, user.id, speaker_collection_id, set(wanted.profile_ids))
    _, count = await rows.get(session, user.id, speaker_collection_id)
    return ProfilesChanged(changed=removed, profile_count=count)
