"""Bodies of uploads and the options of a transcription."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Form
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError, model_validator

from api.files.languages import AUTO, LANGUAGES
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from db.models import UploadState
from pipelines.rerun import ReprocessStage
from serving.errors import LanguageUnsupported

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Lower-case hexadecimal")]
Speakers = Annotated[int, Field(ge=1, le=1000)]
LanguageCode = Annotated[
    str, Field(max_length=10, description="`auto`, or one of Whisper's language codes")
]
SpeechTask = Literal["transcribe", "translate"]


class SpeechOptions(BaseModel):
    """What can be asked of any transcription."""

    language: LanguageCode | None = None
    min_speakers: Speakers | None = None
    max_speakers: Speakers | None = None
    num_speakers: Annotated[
        Speakers | None, Field(description="Exactly so many; wins over the bounds")
    ] = None

    @model_validator(mode="after")
    def speakers_in_order(self) -> Self:
        """Refuse bounds that no recording can meet."""
        low, high = self.min_speakers, self.max_speakers
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_speakers ({low}) exceeds max_speakers ({high})")
        return self

    def require_known_language(self) -> None:
        """Raise LanguageUnsupported where Whisper does not know the language."""
        if self.language not in {None, AUTO, *LANGUAGES}:
            known = " ".join(sorted(LANGUAGES))
            raise LanguageUnsupported(
                f"Whisper does not know the language {self.language!r}. Use auto or one of: {known}"
            )


class TranscriptionOptions(SpeechOptions):
    """How a file is to be transcribed; what is left out follows the installation's settings."""

    task: SpeechTask = "transcribe"

    def stored(self) -> dict[str, Any]:
        """What the task is given.

        Raises:
            LanguageUnsupported: Whisper does not know the language.
        """
        self.require_known_language()
        return self.model_dump(exclude_none=True)


class ReprocessRequest(SpeechOptions):
    """What is to be different; what is left out stays as it was in the latest task.

    `null` is back to the installation's default. The three numbers of speakers belong together: one
    of them replaces all.
    """

    stages: Annotated[
        list[ReprocessStage],
        Field(description="To be computed anew even where nothing changed", max_length=10),
    ] = []
    task: SpeechTask | None = None
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
    language: Annotated[LanguageCode | None, Form()] = None,
    task: Annotated[SpeechTask, Form()] = "transcribe",
    min_speakers: Annotated[Speakers | None, Form()] = None,
    max_speakers: Annotated[Speakers | None, Form()] = None,
    num_speakers: Annotated[Speakers | None, Form()] = None,
) -> TranscriptionOptions:
    """The options as fields of a multipart form."""
    try:
        return TranscriptionOptions(
            language=language,
            task=task,
            min_speakers=min_speakers,
            max_speakers=max_speakers,
            num_speakers=num_speakers,
        )
    except ValidationError as error:
        fields = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(fields) from error


class UploadRequest(BaseModel):
    """A file that is to come in parts. With `sha256`, a duplicate is refused before it is sent."""

    filename: str
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256 | None = None
    content_type: Annotated[str, Field(max_length=100, pattern=r"^[\w.+-]+/[\w.+-]+$")] = (
        "application/octet-stream"
    )
    options: TranscriptionOptions = TranscriptionOptions()

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

    upload_id: uuid.UUID
    filename: str
    size_bytes: int
    part_bytes: int
    part_count: int
    parts_received: Annotated[
        Sequence[int], Field(description="Parts that came through the API, in order")
    ]
    presigned: Annotated[
        bool, Field(description="Whether `GET …/parts/{n}` gives URLs of the object store")
    ]
    state: UploadState
    expires_at: datetime
    media_file_id: uuid.UUID | None

    model_config = documented(
        {
            "upload_id": EXAMPLE_ID,
            "filename": "interview.m4a",
            "size_bytes": 18_302_111,
            "part_bytes": 8_388_608,
            "part_count": 3,
            "parts_received": [1, 2],
            "presigned": False,
            "state": "open",
            "expires_at": EXAMPLE_MOMENT,
            "media_file_id": None,
        }
    )


class PartOut(BaseModel):
    """One part. `url` takes a PUT of exactly these bytes, where clients can reach the store."""

    number: int
    size_bytes: int
    sha256: str | None = None
    received: bool
    url: str | None = None

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
    """The end of an upload; `sha256` is compared with what the server computes."""

    sha256: Sha256 | None = None

    model_config = documented(
        {
            "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
        }
    )
