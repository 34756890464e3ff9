"""Answers about waveforms, signed addresses and subtitles."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from api.media_tokens import MediaKind
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented


class Waveform(BaseModel):
    """Peaks of a recording, equally spaced."""

    duration: Annotated[float | None, Field(description="Seconds that they cover")]
    samples: Annotated[int, Field(description="How many peaks were asked for")]
    peaks: Annotated[
        Sequence[float],
        Field(description="In 0..1; fewer than asked for where the recording is short"),
    ]

    model_config = documented({"duration": 2.0, "samples": 1000, "peaks": [0.0, 0.4, 0.9, 0.1]})


class SignedUrlRequest(BaseModel):
    """What an address is wanted for."""

    kind: Annotated[MediaKind, Field(description="What it opens")] = MediaKind.media

    model_config = documented({"kind": "media"})


class SignedUrl(BaseModel):
    """An address that needs no access token."""

    url: Annotated[str, Field(description="Path and query on this server, for a `src` attribute")]
    kind: Annotated[MediaKind, Field(description="What it opens")]
    expires_at: Annotated[datetime, Field(description="Until when; then ask for another one")]

    model_config = documented(
        {
            "url": f"/api/files/streaming/{EXAMPLE_ID}?token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "kind": "media",
            "expires_at": EXAMPLE_MOMENT,
        }
    )


class SubtitleFormat(StrEnum):
    """What subtitles are written as; also the file name's suffix."""

    srt = "srt"
    vtt = "vtt"


class SubtitleValidation(BaseModel):
    """Whether a transcript makes good subtitles."""

    is_valid: Annotated[bool, Field(description="There is no issue")]
    issues: Annotated[
        Sequence[str],
        Field(
            description="Times that cannot be, segments without text, cues that are shown too "
            "shortly or cannot be read in time; the first hundred"
        ),
    ]
    total_issues: Annotated[int, Field(description="How many issues there are in all")]
    total_segments: Annotated[int, Field(description="Segments of the transcript")]
    total_cues: Annotated[int, Field(description="Cues that they make")]
    total_duration: Annotated[float, Field(description="Seconds until the last cue ends")]

    model_config = documented(
        {
            "is_valid": False,
            "issues": ["Cue 3 at 00:00:06.000 has 31 characters per second, more than 20."],
            "total_issues": 1,
            "total_segments": 40,
            "total_cues": 52,
            "total_duration": 180.5,
        }
    )
