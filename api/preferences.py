"""What users prefer, by section: its shape, its defaults, and where the defaults of work come from.

A row holds only what its user set, so that a default which changes reaches everybody who left it.
"""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from api.languages import AUTO, LANGUAGES
from api.speech_options import require_order
from db.queries import user_settings
from pipelines.language.wishes import OutputLanguage, Wishes
from pipelines.rerun import SPEAKERS

Speakers = Annotated[int, Field(ge=1, le=100)]


def _section(example: Mapping[str, Any]) -> ConfigDict:
    return ConfigDict(
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [dict(example)]},
    )


class Preferences(BaseModel):
    """Base of all sections."""

    section: ClassVar[str]


class RecordingPreferences(Preferences):
    """How a client records."""

    section = "recording"

    max_recording_duration: Literal[15, 30, 60, 120, 240, 480] = 120
    """Minutes after which a recording ends."""
    recording_quality: Literal["standard", "high", "maximum"] = "high"
    """Which audio quality a client records in."""
    auto_stop_enabled: bool = True
    """Whether a recording ends by itself at its longest duration."""

    model_config = _section(
        {"max_recording_duration": 120, "recording_quality": "high", "auto_stop_enabled": True}
    )


class TranscriptionPreferences(Preferences):
    """How recordings are transcribed whose requests leave it out."""

    section = "transcription"

    language: Annotated[str, Field(max_length=10)] | None = None
    """`auto`, or one of Whisper's language codes; null: the installation's default."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate`: into English."""
    min_speakers: Speakers | None = None
    """Fewest speakers; null: the installation's default."""
    max_speakers: Speakers | None = None
    """Most speakers; null: the installation's default."""
    num_speakers: Speakers | None = None
    """Exactly so many speakers; wins over the bounds."""
    diarize: bool = True
    """Whether to find out who speaks."""

    model_config = _section(
        {
            "language": "auto",
            "task": "transcribe",
            "min_speakers": None,
            "max_speakers": 4,
            "num_speakers": None,
            "diarize": True,
        }
    )

    @field_validator("language")
    @classmethod
    def language_known(cls, language: str | None) -> str | None:
        """Refuse what Whisper does not know."""
        if language not in {None, AUTO, *LANGUAGES}:
            raise ValueError(f"use auto or one of: {' '.join(sorted(LANGUAGES))}")
        return language

    @model_validator(mode="after")
    def speakers_in_order(self) -> Self:
        """Refuse bounds that no recording can meet."""
        require_order(self.min_speakers, self.max_speakers)
        return self


class AudioExtractionPreferences(Preferences):
    """Whether a client sends only the sound of a large video."""

    section = "audio-extraction"

    auto_extract_enabled: bool = True
    """Whether the client takes the sound out of large videos before it sends them."""
    extraction_threshold_mb: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Megabytes from which a video counts as large."""
    remember_choice: bool = False
    """Whether the client does again what was chosen last."""
    show_modal: bool = True
    """Whether the client asks first."""

    model_config = _section(
        {
            "auto_extract_enabled": True,
            "extraction_threshold_mb": 100,
            "remember_choice": False,
            "show_modal": True,
        }
    )


class DownloadPreferences(Preferences):
    """What is fetched from other sites where a request leaves it out."""

    section = "download"

    video_quality: Literal["best", "2160p", "1440p", "1080p", "720p", "480p", "360p"] = "best"
    """The largest picture that is fetched."""
    audio_only: bool = False
    """Whether to fetch the sound alone."""
    audio_quality: Literal["best", "320", "192", "128"] = "best"
    """Most kilobits a second of the sound."""

    model_config = _section(
        {"video_quality": "1080p", "audio_only": False, "audio_quality": "best"}
    )


class SummaryPreferences(Wishes, Preferences):
    """What language models do with every new transcript, where one is set up."""

    model_config = _section({"enabled": True, "speakers": True, "topics": False, "language": None})

    @field_validator("language", mode="before")
    @classmethod
    def language_by_code(cls, language: object) -> object:
        """Take a code for the language that it names, although nothing else is converted."""
        if not isinstance(language, str):
            return language
        if language not in {*OutputLanguage}:
            raise ValueError(f"use null, or one of: {' '.join(sorted(OutputLanguage))}")
        return OutputLanguage(language)


Section = TypeVar("Section", bound=Preferences)


async def load(session: AsyncSession, user_id: uuid.UUID, model: type[Section]) -> Section:
    """A user's preferences in one section; what they did not set has its default."""
    return model.model_validate(await user_settings.get(session, user_id, model.section))


async def save(session: AsyncSession, user_id: uuid.UUID, changes: Section) -> Section:
    """Set what `changes` was made with, and leave the rest of the section as it is.

    Raises:
        pydantic.ValidationError: it does not go together with what is set already; the caller's
            transaction must not be committed.
    """
    sent = changes.model_dump(mode="json", exclude_unset=True)
    merged = await user_settings.merge(session, user_id, changes.section, sent)
    return type(changes).model_validate(merged)


async def with_defaults(
    session: AsyncSession, user_id: uuid.UUID, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The options of a transcription: as asked for, then as the user prefers.

    What neither names follows the installation's settings when the task runs. The numbers of
    speakers belong together, and who names one wants speakers: then none of it is the user's usual.
    """
    preferred = await load(session, user_id, TranscriptionPreferences)
    usual = preferred.model_dump(exclude_defaults=True)
    if SPEAKERS & asked.keys():
        usual = {name: usual[name] for name in usual.keys() - SPEAKERS - {"diarize"}}
    return {"task": preferred.task, **usual, **asked}
