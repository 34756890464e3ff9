"""Versions of a transcript over HTTP: ETag, If-None-Match, If-Match."""

from typing import Annotated

from fastapi import Header

from api.errors import ApiError, ErrorType
from db.models import Transcript

IfNoneMatch = Annotated[
    str, Header(alias="If-None-Match", description="ETag that the client has: 304 if it is current")
]
IfMatch = Annotated[
    str,
    Header(
        alias="If-Match",
        description="ETag of the transcript that the edit was made on; `*`: whatever it is now",
    ),
]

MATCH_TYPES = (
    ErrorType.transcript_not_ready,
    ErrorType.precondition_required,
    ErrorType.precondition_failed,
)
"""What an edit may be refused with."""


def etag(transcript: Transcript, version: int | None = None) -> str:
    """The entity tag: another one for each version, also where a file was computed anew."""
    return f'"{transcript.id}-{version or transcript.version}"'


def is_current(transcript: Transcript, if_none_match: str) -> bool:
    """Whether the client has this version."""
    return _named(transcript, _listed(if_none_match))


def require_match(transcript: Transcript, if_match: str) -> None:
    """Raise unless the client edits this version.

    Raises:
        ApiError: `precondition_required`, or `precondition_failed` with the current tag.
    """
    wanted = _listed(if_match)
    if not wanted:
        raise ApiError(
            ErrorType.precondition_required,
            "Send If-Match with the ETag of the transcript that you edit, so that nobody's edit is "
            "overwritten unseen.",
        )
    if not _named(transcript, wanted):
        raise ApiError(
            ErrorType.precondition_failed,
            f"The transcript is at version {transcript.version} now.",
            headers={"ETag": etag(transcript)},
            version=transcript.version,
        )


def _named(transcript: Transcript, tags: list[str]) -> bool:
    """Whether one of the tags is of this version.

    Proxies that compress make tags weak. HTTP wants strong ones in If-Match, as weak ones may
    stand for several contents; ours name a transcript and its version, which are exact.
    """
    strong = [tag.removeprefix("W/") for tag in tags]
    return etag(transcript) in strong or "*" in tags


def _listed(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",") if tag.strip()]
