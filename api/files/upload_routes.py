"""Routes of uploads: /api/files/upload, whole or in parts."""

import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, File, Header, Path, Request, UploadFile

from api.dependencies import App, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.files import direct, uploads
from api.files.intake import undisturbed
from api.files.schemas import Accepted
from api.files.upload_schemas import (
    Completion,
    PartOut,
    TranscriptionOptions,
    UploadOut,
    UploadRequest,
    options_from_form,
)
from api.idempotency import IDEMPOTENT, Once
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from db.engine import session_scope
from db.models import Lane, Upload
from db.queries import uploads as upload_rows

router = APIRouter(
    prefix="/api/files/upload",
    tags=["uploads"],
    route_class=EnvelopeRoute,
    form_limits={"max_files": 1, "max_fields": 20},
)

MEDIA_REFUSALS = (
    ErrorType.duplicate_file,
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
STILL_OPEN = (ErrorType.upload_closed, ErrorType.upload_expired)

UploadId = Annotated[uuid.UUID, Path(description="From `upload/prepare`")]
PartNumber = Annotated[int, Path(ge=1, le=10_000, description="From 1 to `part_count`")]


@router.post(
    "",
    status_code=201,
    summary="Upload a small file",
    response_description="File accepted, task queued",
    responses=errors(
        *SIGNED_IN_TYPES,
        *MEDIA_REFUSALS,
        *IDEMPOTENT,
        ErrorType.body_too_large,
        ErrorType.language_unsupported,
    ),
)
async def upload_file(
    services: App,
    user: CurrentUser,
    once: Once,
    file: Annotated[UploadFile, File(description="The recording")],
    options: Annotated[TranscriptionOptions, Depends(options_from_form)],
) -> Accepted:
    """Send a recording whole, as multipart form data. Larger ones go in parts: `prepare` them."""
    wanted = options.stored()
    return await undisturbed(direct.take_in(services, user.id, file, wanted, once))


@router.post(
    "/prepare",
    status_code=201,
    summary="Open an upload in parts",
    response_description="Upload opened",
    responses=errors(
        *SIGNED_IN_TYPES,
        *IDEMPOTENT,
        ErrorType.duplicate_file,
        ErrorType.upload_too_large,
        ErrorType.too_many_uploads,
        ErrorType.language_unsupported,
        ErrorType.queue_full,
    ),
)
async def prepare_upload(
    services: App, user: CurrentUser, wanted: UploadRequest, once: Once
) -> UploadOut:
    """Announce a file; then `PUT` its parts in any order and as often as needed, and complete."""
    async with (
        once.guarded(wanted.model_dump(mode="json")) as keep,
        session_scope(services.sessions) as session,
    ):
        upload = await uploads.prepare(services, session, user.id, wanted)
        return await keep(session, _upload(services, upload, []))


def _upload(services: Services, upload: Upload, received: Sequence[int]) -> UploadOut:
    return UploadOut(
        upload_id=upload.id,
        filename=upload.filename,
        size_bytes=upload.size_bytes,
        part_bytes=upload.part_bytes,
        part_count=uploads.part_count(upload),
        parts_received=received,
        received_bytes=sum(uploads.part_size(upload, number) for number in received),
        presigned=services.presigned_uploads,
        state=upload.state,
        expires_at=upload.expires_at,
        media_file_id=upload.media_file_id,
    )


@router.get(
    "/{upload_id}",
    summary="Where an upload stands",
    response_description="Upload",
    responses=owned_errors(ErrorType.store_unavailable),
)
async def get_upload(services: App, user: CurrentUser, upload_id: UploadId) -> UploadOut:
    """Which parts have arrived: what a client that was interrupted asks before it resumes."""
    async with session_scope(services.sessions) as session:
        upload = await upload_rows.get(session, user.id, upload_id)
        parts = await upload_rows.parts(session, upload_id)
    received = await uploads.all_received(services, upload, [part.number for part in parts])
    return _upload(services, upload, received)


@router.get(
    "",
    summary="Your open uploads",
    response_description="Uploads",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_uploads(
    services: App, session: Session, user: CurrentUser, paging: Paging
) -> Page[UploadOut]:
    """Those that can still be resumed or given up, newest first.

    Parts that you put into the object store yourself are counted in a single upload only.
    """
    rows, total = await upload_rows.page_of_open(
        session, user.id, limit=paging.page_size, offset=paging.offset
    )
    parts = await upload_rows.parts_of(session, [row.id for row in rows])
    return paging.of([_upload(services, row, parts[row.id]) for row in rows], total)


@router.put(
    "/{upload_id}/parts/{number}",
    summary="Send one part",
    response_description="Part stored",
    responses=owned_errors(
        *STILL_OPEN,
        ErrorType.length_required,
        ErrorType.body_too_large,
        ErrorType.invalid_part,
        ErrorType.checksum_mismatch,
        ErrorType.invalid_media,
        ErrorType.unsupported_media,
        ErrorType.store_unavailable,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def put_part(
    services: App,
    user: CurrentUser,
    request: Request,
    upload_id: UploadId,
    number: PartNumber,
    content_length: Annotated[int | None, Header(include_in_schema=False)] = None,
    x_part_sha256: Annotated[
        str | None, Header(pattern="^[0-9a-f]{64}$", description="Checked against what arrived")
    ] = None,
) -> PartOut:
    """The raw bytes of part `number`: exactly `part_bytes`, the last part what is left."""
    size = await uploads.expected_part(services, user.id, upload_id, number)
    if content_length is None:
        raise ApiError(ErrorType.length_required, "Send the part with a Content-Length.")
    if content_length != size:
        raise ApiError(
            ErrorType.invalid_part,
            f"Part {number} has {size} bytes, this body announces {content_length}.",
            size_bytes=size,
        )
    # A part is in memory while it is taken in: only so many are at a time, of each user in turn.
    async with services.part_slots.take(user.id, Lane.interactive):
        body = await uploads.read_body(request.stream(), size)
        sha256 = await uploads.store_part(services, user.id, upload_id, number, body, x_part_sha256)
    return PartOut(number=number, size_bytes=size, sha256=sha256, received=True)


@router.get(
    "/{upload_id}/parts/{number}",
    summary="Where to send one part",
    response_description="Part",
    responses=owned_errors(*STILL_OPEN, ErrorType.invalid_part),
)
async def get_part(
    services: App, user: CurrentUser, upload_id: UploadId, number: PartNumber
) -> PartOut:
    """A part's size, whether it came through the API, and an hour's URL to put it directly."""
    size = await uploads.expected_part(services, user.id, upload_id, number)
    async with session_scope(services.sessions) as session:
        parts = await upload_rows.parts(session, upload_id)
    known = next((part for part in parts if part.number == number), None)
    return PartOut(
        number=number,
        size_bytes=size,
        sha256=known.sha256 if known else None,
        received=known is not None,
        url=await uploads.part_url(services, user.id, upload_id, number),
    )


@router.post(
    "/{upload_id}/complete",
    status_code=201,
    summary="Complete an upload",
    response_description="File accepted, task queued",
    responses=owned_errors(
        *STILL_OPEN,
        *MEDIA_REFUSALS,
        *IDEMPOTENT,
        ErrorType.upload_incomplete,
        ErrorType.checksum_mismatch,
    ),
)
async def complete_upload(
    services: App,
    user: CurrentUser,
    upload_id: UploadId,
    once: Once,
    completion: Completion | None = None,
) -> Accepted:
    """Join the parts and check the whole; asked again, it gives the same file and task."""
    sha256 = completion.sha256 if completion else None
    return await undisturbed(uploads.complete(services, user.id, upload_id, sha256, once))


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Give an upload up",
    responses=owned_errors(ErrorType.upload_closed, ErrorType.store_unavailable),
)
async def cancel_upload(services: App, user: CurrentUser, upload_id: UploadId) -> None:
    """Remove an upload that is not completed, with its parts."""
    await undisturbed(uploads.cancel(services, user.id, upload_id))
