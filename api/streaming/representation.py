"""Sends a stored object as HTTP wants it: whole or a range of it, or says that nothing changed."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from api.errors import ApiError, ErrorType
from api.openapi import Responses, owned_errors
from api.streaming.ranges import Unsatisfiable, parse_range
from db.objects.port import ObjectStore

BINARY = {"schema": {"type": "string", "format": "binary"}}


def binary_responses(*media_types: str, also: tuple[ErrorType, ...] = ()) -> Responses:
    """What a route answers that sends a stored object of one of these types."""
    content: dict[str, Any] = dict.fromkeys(media_types, BINARY)
    return {
        200: {"description": "All of it", "content": content},
        206: {"description": "The wanted range", "content": content},
        304: {"description": "Not changed since `If-None-Match`"},
        **owned_errors(
            ErrorType.precondition_failed,
            ErrorType.range_not_satisfiable,
            ErrorType.store_unavailable,
            *also,
        ),
    }


@dataclass(frozen=True, slots=True)
class Representation:
    """A stored object and what is said of it; `etag` with its quotes."""

    key: str
    size_bytes: int
    etag: str
    content_type: str
    disposition: str
    cache_control: str = "private, max-age=86400"

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each answer about it."""
        return {
            "content-type": self.content_type,
            "etag": self.etag,
            "accept-ranges": "bytes",
            "cache-control": self.cache_control,
            "content-disposition": self.disposition,
            # Users' bytes on our origin: never to be taken for a page or a script.
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox; default-src 'none'; media-src 'self'",
        }


class Conditions:
    """What a request says of what it wants, and of what its client has."""

    def __init__(
        self,
        request: Request,
        range_header: Annotated[str, Header(alias="Range", description="One range of bytes")] = "",
        if_range: Annotated[str, Header(description="ETag for which the range is meant")] = "",
        if_match: Annotated[str, Header(description="ETag that it must have")] = "",
        if_none_match: Annotated[str, Header(description="ETag that the client has")] = "",
    ) -> None:
        self.method = request.method
        self.range_header = range_header
        self.if_range = if_range
        self.if_match = if_match
        self.if_none_match = if_none_match

    def fail(self, etag: str) -> bool:
        """Whether the client wants another one than this (RFC 9110 §13.1.1)."""
        return self.if_match not in {"", "*"} and etag not in _tags(self.if_match)

    def known(self, etag: str) -> bool:
        """Whether the client has it already; weak tags compare too (§13.1.2)."""
        if self.if_none_match.strip() == "*":
            return True
        return etag in {tag.removeprefix("W/") for tag in _tags(self.if_none_match)}

    def wanted_range(self, etag: str) -> str:
        """The range, where it is meant for this one and the method has ranges (§13.1.5, §14.2)."""
        meant = self.if_range in {"", etag}
        return self.range_header if meant and self.method == "GET" else ""


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]


Conditional = Annotated[Conditions, Depends()]


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


def respond(objects: ObjectStore, found: Representation, conditions: Conditions) -> Response:
    """The answer to a GET or HEAD.

    Raises:
        ApiError: `precondition_failed`, `range_not_satisfiable`.
    """
    headers = found.headers
    if conditions.fail(found.etag):
        raise ApiError(ErrorType.precondition_failed, f"Its ETag is {found.etag}.")
    if conditions.known(found.etag):
        return Response(status_code=304, headers=headers)
    start, length, status = _wanted(found, conditions, headers)
    if conditions.method == "HEAD":
        return Response(status_code=status, headers={**headers, "content-length": str(length)})
    return ObjectResponse(objects, found.key, start, length, status, headers)


def _wanted(
    found: Representation, conditions: Conditions, headers: dict[str, str]
) -> tuple[int, int, int]:
    """Start, length and status; notes the range in `headers`."""
    try:
        wanted = parse_range(conditions.wanted_range(found.etag), found.size_bytes)
    except Unsatisfiable as error:
        raise ApiError(
            ErrorType.range_not_satisfiable,
            f"It has {found.size_bytes} bytes.",
            headers={"Content-Range": f"bytes */{found.size_bytes}"},
        ) from error
    if wanted is None:
        return 0, found.size_bytes, 200
    start, length = wanted
    headers["content-range"] = f"bytes {start}-{start + length - 1}/{found.size_bytes}"
    return start, length, 206
