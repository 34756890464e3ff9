"""All sections of a user's settings in one answer."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, Field

from api.preferences import (
    AudioExtractionPreferences,
    DownloadPreferences,
    Preferences,
    RecordingPreferences,
    SummaryPreferences,
    TranscriptionPreferences,
)
from api.schemas import documented

Section = TypeVar("Section", bound=Preferences)
Sections = Mapping[str, Mapping[str, Any]]


def _filled(model: type[Section], found: Sections) -> Section:
    return model.model_validate(found.get(model.section, {}))


class AllPreferences(BaseModel):
    """Every section, with the defaults of what was not set."""

    recording: Annotated[RecordingPreferences, Field(description="How a client records")]
    transcription: Annotated[
        TranscriptionPreferences,
        Field(description="How recordings are transcribed whose requests leave it out"),
    ]
    audio_extraction: Annotated[
        AudioExtractionPreferences,
        Field(description="Whether a client sends only the sound of a large video"),
    ]
    download: Annotated[
        DownloadPreferences,
        Field(description="What is fetched from other sites where a request leaves it out"),
    ]
    ai_summary: Annotated[
        SummaryPreferences,
        Field(description="What language models do with every new transcript"),
    ]

    @classmethod
    def of(cls, found: Sections) -> Self:
        """The answer about what is stored, by section."""
        return cls(
            recording=_filled(RecordingPreferences, found),
            transcription=_filled(TranscriptionPreferences, found),
            audio_extraction=_filled(AudioExtractionPreferences, found),
            download=_filled(DownloadPreferences, found),
            ai_summary=_filled(SummaryPreferences, found),
        )

    model_config = documented(
        {
            "recording": RecordingPreferences().model_dump(),
            "transcription": TranscriptionPreferences().model_dump(),
            "audio_extraction": AudioExtractionPreferences().model_dump(),
            "download": DownloadPreferences().model_dump(),
            "ai_summary": SummaryPreferences().model_dump(),
        }
    )
