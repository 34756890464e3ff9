"""Routes that send a file's bytes: /api/files/streaming."""

import uuid
from collections.abc import Mapping
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.files.names import content_disposition
from api.files.ranges import Unsatisfiable, parse_range
from api.files.schemas import Waveform
from api.openapi import Responses, owned_errors
from db.engine import session_scope
from db.errors import NotFound
from db.models import MediaFile
from db.objects.port import ObjectStore
from db.queries import media_files

router = APIRouter(prefix="/api/files/streaming", tags=["media"], route_class=EnvelopeRoute)

BINARY = {"schema": {"type": "string", "format": "binary"}}
MEDIA_RESPONSES: Responses = {
    200: {"description": "The whole file", "content": {"audio/*": BINARY, "video/*": BINARY}},
    206: {"description": "The wanted range", "content": {"audio/*": BINARY, "video/*": BINARY}},
    304: {"description": "Not changed since `If-None-Match`"},
    **owned_errors(ErrorType.range_not_satisfiable, ErrorType.store_unavailable),
}


class ObjectResponse(StreamingResponse):
    """Sends an object chunk by chunk and lets go of it when the client does."""

    def __init__(
        self,
        objects: ObjectStore,
        key: str,
        start: int,
        length: int,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        self._chunks = objects.stream(key, start, length)
        super().__init__(self._chunks, status, {**headers, "content-length": str(length)})

    async def stream_response(self, send: Send) -> None:
        """Send, and close the connection to the store in any case."""
        async with aclosing(self._chunks):  # type: ignore[type-var]
            await super().stream_response(send)


@router.head("/{file_id}", include_in_schema=False)
@router.get(
    "/{file_id}",
    summary="The media file",
    response_class=StreamingResponse,
    responses=MEDIA_RESPONSES,
)
async def stream_media(
    services: App,
    user: CurrentUser,
    request: Request,
    file_id: uuid.UUID,
    range_header: Annotated[str, Header(alias="Range", description="One range of bytes")] = "",
    if_range: Annotated[str, Header(description="ETag for which the range is meant")] = "",
    if_none_match: Annotated[str, Header(description="ETag that the client has")] = "",
) -> Response:
    """The uploaded bytes, with ranges, so that players can seek."""
    async with session_scope(services.sessions) as session:
        file = await media_files.get(session, user.id, file_id)
    headers = _headers(file)
    if headers["etag"] in [tag.strip() for tag in if_none_match.split(",")]:
        return Response(status_code=304, headers=headers)
    start, length, status = _wanted(file, headers, range_header if _fits(if_range, headers) else "")
    await services.objects.stat(file.object_key)
    if request.method == "HEAD":
        return Response(status_code=status, headers={**headers, "content-length": str(length)})
    return ObjectResponse(services.objects, file.object_key, start, length, status, headers)


def _headers(file: MediaFile) -> dict[str, str]:
    return {
        "content-type": file.content_type,
        "etag": f'"{file.sha256}"',
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=86400",
        "content-disposition": content_disposition("inline", file.filename),
        # Users' bytes on our origin: never to be taken for a page or a script.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'; media-src 'self'",
    }


def _fits(if_range: str, headers: Mapping[str, str]) -> bool:
    return if_range in {"", headers["etag"]}


def _wanted(file: MediaFile, headers: dict[str, str], range_header: str) -> tuple[int, int, int]:
    """Start, length and status; notes the range in `headers`."""
    try:
        wanted = parse_range(range_header, file.size_bytes)
    except Unsatisfiable as error:
        raise ApiError(
            ErrorType.range_not_satisfiable,
            f"The file has {file.size_bytes} bytes.",
            headers={"Content-Range": f"bytes */{file.size_bytes}"},
        ) from error
    if wanted is None:
        return 0, file.size_bytes, 200
    start, length = wanted
    headers["content-range"] = f"bytes {start}-{start + length - 1}/{file.size_bytes}"
    return start, length, 206


@router.get(
    "/{file_id}/thumbnail",
    summary="A frame of a video",
    response_class=Response,
    responses={
        200: {"description": "JPEG", "content": {"image/jpeg": BINARY}},
        **owned_errors(ErrorType.store_unavailable),
    },
)
async def thumbnail(services: App, user: CurrentUser, file_id: uuid.UUID) -> Response:
    """The picture made when the file was prepared; recordings without pictures have none."""
    async with session_scope(services.sessions) as session:
        file = await media_files.get(session, user.id, file_id)
    if file.thumbnail_key is None:
        raise NotFound("thumbnail of file", str(file_id))
    picture = await services.objects.get(file.thumbnail_key)
    headers = {"cache-control": "private, max-age=86400", "x-content-type-options": "nosniff"}
    return Response(picture, media_type="image/jpeg", headers=headers)


@router.get(
    "/{file_id}/waveform",
    summary="Peaks to draw",
    response_description="Waveform",
    responses=owned_errors(),
)
async def waveform(session: Session, user: CurrentUser, file_id: uuid.UUID) -> Waveform:
    """At most 1000 peaks of the recording; known as soon as the file is prepared."""
    file = await media_files.get(session, user.id, file_id)
    if file.waveform is None:
        raise NotFound("waveform of file", str(file_id))
    return Waveform(duration=file.duration, peaks=file.waveform)
