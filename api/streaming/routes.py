"""Routes that send a file's media: /api/files/streaming."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from api.dependencies import App, CurrentSession, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.headers import content_disposition
from api.media_tokens import MediaClaims, MediaKind
from api.openapi import owned_errors
from api.streaming import subtitled
from api.streaming.reader import MediaReader, ThumbnailReader
from api.streaming.representation import Conditional, Representation, binary_responses, respond
from api.streaming.schemas import SignedUrl, SignedUrlRequest, Waveform
from api.streaming.waveform import Resolution, pooled
from db.engine import session_scope
from db.errors import NotFound
from db.models import MediaFile, User
from db.queries import reading

router = APIRouter(prefix="/api/files/streaming", tags=["media"], route_class=EnvelopeRoute)

PATHS = {
    MediaKind.media: "",
    MediaKind.thumbnail: "/thumbnail",
    MediaKind.subtitled: "/subtitled",
}


async def _file(services: Services, reader: User, file_id: uuid.UUID) -> MediaFile:
    # A transaction of its own: sending takes long, and must not hold one open.
    async with session_scope(services.sessions) as session:
        return await reading.file(session, reader, file_id)


@router.head("/{file_id}", include_in_schema=False)
@router.get(
    "/{file_id}",
    summary="The media file",
    response_class=StreamingResponse,
    responses=binary_responses("audio/*", "video/*"),
)
async def stream_media(
    services: App, user: MediaReader, conditions: Conditional, file_id: uuid.UUID
) -> Response:
    """The uploaded bytes, with ranges, so that players can seek."""
    file = await _file(services, user, file_id)
    await services.objects.stat(file.object_key)
    found = Representation(
        key=file.object_key,
        size_bytes=file.size_bytes,
        etag=f'"{file.sha256}"',
        content_type=file.content_type,
        disposition=content_disposition("inline", file.filename),
    )
    return respond(services.objects, found, conditions)


@router.head("/{file_id}/thumbnail", include_in_schema=False)
@router.get(
    "/{file_id}/thumbnail",
    summary="A frame of a video",
    response_class=StreamingResponse,
    responses=binary_responses("image/jpeg"),
)
async def thumbnail(
    services: App, user: ThumbnailReader, conditions: Conditional, file_id: uuid.UUID
) -> Response:
    """The picture made when the file was prepared; recordings without pictures have none."""
    file = await _file(services, user, file_id)
    if file.thumbnail_key is None:
        raise NotFound("thumbnail of file", str(file_id))
    stored = await services.objects.stat(file.thumbnail_key)
    name = f"{subtitled.name_of(file)}.jpg"
    found = Representation(
        key=file.thumbnail_key,
        size_bytes=stored.size_bytes,
        etag=f'"{stored.etag.strip(chr(34))}"',
        content_type="image/jpeg",
        disposition=content_disposition("inline", name),
    )
    return respond(services.objects, found, conditions)


@router.get(
    "/{file_id}/waveform",
    summary="Peaks to draw",
    response_description="Waveform",
    responses=owned_errors(),
)
async def waveform(
    session: Session,
    user: CurrentUser,
    file_id: uuid.UUID,
    samples: Annotated[
        Resolution, Query(description="How many peaks, at most")
    ] = Resolution.medium,
) -> Waveform:
    """The loudest moment of each equal stretch of the recording; known when it is completed."""
    file = await reading.file(session, user, file_id)
    if file.waveform is None:
        raise NotFound("waveform of file", str(file_id))
    peaks = pooled(file.waveform, samples)
    return Waveform(duration=file.duration, samples=samples, peaks=peaks)


@router.post(
    "/{file_id}/url",
    summary="A short-lived address that needs no access token",
    response_description="Address",
    responses=owned_errors(),
)
async def signed_url(
    services: App,
    session: Session,
    signed_in: CurrentSession,
    file_id: uuid.UUID,
    wanted: SignedUrlRequest | None = None,
) -> SignedUrl:
    """For the `src` of a `<video>`, `<audio>` or `<img>`, which cannot send a header.

    It opens this one thing, and dies with the file, with the account and when you sign out.
    """
    file = await reading.file(session, signed_in.user, file_id)
    kind = (wanted or SignedUrlRequest()).kind
    thumbnails = kind is MediaKind.thumbnail
    settings = services.api
    seconds = settings.thumbnail_url_seconds if thumbnails else settings.media_url_seconds
    claims = MediaClaims(signed_in.user.id, signed_in.claims.family_id, file.id, kind)
    token, expires = services.media_tokens.issue(claims, seconds)
    return SignedUrl(
        url=f"{router.prefix}/{file.id}{PATHS[kind]}?token={token}",
        kind=kind,
        expires_at=datetime.fromtimestamp(expires, UTC),
    )
