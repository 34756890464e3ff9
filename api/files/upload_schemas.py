"""Bodies of uploads and the options of a transcription."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Form
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.speech_options import LanguageCode, Speakers, SpeechOptions
from db.models import UploadState
from pipelines.rerun import ReprocessStage

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Lower-case hexadecimal")]
SpeechTask = Literal["transcribe", "translate"]


class TranscriptionOptions(SpeechOptions):
    """How a file is to be transcribed.

    What is left out follows the user's preferences (`/api/user-settings/transcription`), then the
    installation's settings.
    """

    task: SpeechTask | None = None
    """`translate`: into English."""
    diarize: Annotated[bool | None, Field(description="Whether to find out who speaks")] = None

    def stored(self) -> dict[str, Any]:
        """What was asked for; `api.preferences.with_defaults` adds what the user prefers.

        Raises:
            LanguageUnsupported: Whisper does not know the language.
        """
        self.require_known_language()
        return self.model_dump(exclude_none=True)


def _no_analytics(stages: object) -> object:
    if isinstance(stages, list) and "analytics" in stages:
        raise ValueError(
            "analytics follow the transcript by themselves; to compute them anew, "
            "POST /api/files/{file_id}/analytics/refresh"
        )
    return stages


class ReprocessRequest(SpeechOptions):
    """What is to be different; what is left out stays as it was in the latest task.

    `null` is back to the installation's default. The three numbers of speakers belong together: one
    of them replaces all.
    """

    stages: Annotated[
        list[ReprocessStage],
        Field(description="To be computed anew even where nothing changed", max_length=10),
        BeforeValidator(_no_analytics),
    ] = []  # noqa: RUF012 - Pydantic copies it
    task: SpeechTask | None = None
    """`translate`: into English."""
    diarize: Annotated[bool | None, Field(description="Whether to find out who speaks")] = None

    model_config = documented({"stages": ["rediarize"], "max_speakers": 4})

    @model_validator(mode="after")
    def speakers_wanted(self) -> Self:
        """Refuse to find the speakers anew and not at all."""
        if self.diarize is False and ReprocessStage.rediarize in self.stages:
            raise ValueError("stages names rediarize, and diarize is false")
        return self

    def changes(self) -> dict[str, Any]:
        """What was sent.

        Raises:
            LanguageUnsupported: Whisper does not know the language.
        """
        self.require_known_language()
        return self.model_dump(exclude_unset=True, exclude={"stages"})


def options_from_form(
    language: Annotated[LanguageCode | None, Form(description="`auto`, or a language code")] = None,
    task: Annotated[SpeechTask | None, Form(description="`translate`: into English")] = None,
    min_speakers: Annotated[Speakers | None, Form(description="Fewest speakers")] = None,
    max_speakers: Annotated[Speakers | None, Form(description="Most speakers")] = None,
    num_speakers: Annotated[
        Speakers | None, Form(description="Exactly so many; wins over the bounds")
    ] = None,
    diarize: Annotated[bool | None, Form(description="Whether to find out who speaks")] = None,
) -> TranscriptionOptions:
    """The options as fields of a multipart form."""
    try:
        return TranscriptionOptions(
            language=language,
            task=task,
            min_speakers=min_speakers,
            max_speakers=max_speakers,
            num_speakers=num_speakers,
            diarize=diarize,
        )
    except ValidationError as error:
        fields = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(fields) from error


class UploadRequest(BaseModel):
    """A file that is to come in parts."""

    filename: Annotated[str, Field(description="What it is called; shown, never used as a path")]
    size_bytes: Annotated[int, Field(ge=1, description="Of the whole file")]
    sha256: Annotated[
        Sha256 | None,
        Field(description="Of the whole file: a duplicate is refused before it is sent"),
    ] = None
    content_type: Annotated[
        str,
        Field(
            max_length=100,
            pattern=r"^[\w.+-]+/[\w.+-]+$",
            description="What you take it for; what it is, its content decides",
        ),
    ] = "application/octet-stream"
    options: Annotated[TranscriptionOptions, Field(description="How it is to be transcribed")] = (
        TranscriptionOptions()
    )

    model_config = documented(
        {
            "filename": "interview.m4a",
            "size_bytes": 18_302_111,
            "content_type": "audio/mp4",
            "options": {"language": "auto", "max_speakers": 4},
        }
    )


class UploadOut(BaseModel):
    """An upload: `part_count` parts of `part_bytes` (the last one shorter), numbered from 1."""

    upload_id: Annotated[uuid.UUID, Field(description="What the other routes name it by")]
    filename: Annotated[str, Field(description="As it will be shown")]
    size_bytes: Annotated[int, Field(description="Of the whole file")]
    part_bytes: Annotated[int, Field(description="Of each part but the last")]
    part_count: Annotated[int, Field(description="How many parts there are")]
    parts_received: Annotated[
        Sequence[int], Field(description="Numbers of the parts that are there, in order")
    ]
    received_bytes: Annotated[int, Field(description="How much of `size_bytes` is there")]
    presigned: Annotated[
        bool, Field(description="Whether `GET …/parts/{n}` gives URLs of the object store")
    ]
    state: Annotated[UploadState, Field(description="Only an open one takes parts")]
    expires_at: Annotated[datetime, Field(description="When it is given up unless completed")]
    media_file_id: Annotated[
        uuid.UUID | None, Field(description="The file that a completed one became")
    ]

    model_config = documented(
        {
            "upload_id": EXAMPLE_ID,
            "filename": "interview.m4a",
            "size_bytes": 18_302_111,
            "part_bytes": 8_388_608,
            "part_count": 3,
            "parts_received": [1, 2],
            "received_bytes": 16_777_216,
            "presigned": False,
            "state": "open",
            "expires_at": EXAMPLE_MOMENT,
            "media_file_id": None,
        }
    )


class PartOut(BaseModel):
    """One part of an upload."""

    number: Annotated[int, Field(description="From 1")]
    size_bytes: Annotated[int, Field(description="How many bytes it must have")]
    sha256: Annotated[
        str | None, Field(description="Of what arrived through the API; null before")
    ] = None
    received: Annotated[bool, Field(description="Whether it arrived through the API")]
    url: Annotated[
        str | None,
        Field(description="Takes a PUT of exactly these bytes; null where no store is public"),
    ] = None

    model_config = documented(
        {
            "number": 1,
            "size_bytes": 8_388_608,
            "sha256": None,
            "received": False,
            "url": None,
        }
    )


class Completion(BaseModel):
    """The end of an upload."""

    sha256: Annotated[
        Sha256 | None,
        Field(description="Of the whole file; compared with what the server computes"),
    ] = None

    model_config = documented(
        {
            "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
        }
    )
