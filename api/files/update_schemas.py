"""What people write about a file, and what a list of files can be narrowed by."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.files.names import display_name
from api.schemas import documented
from api.text import one_line, prose
from db.queries.file_facets import Bounds, Facets

LONGEST_NAME = 255
LONGEST_DESCRIPTION = 10_000


def _file_name(name: str) -> str:
    if display_name(name) != name:
        raise ValueError("is no plain file name: leave out `/`, `\\` and names of dots alone")
    return name


Line = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_NAME),
    one_line,
    Field(min_length=1, max_length=LONGEST_NAME),
]
Prose = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_DESCRIPTION),
    prose,
    Field(min_length=1, max_length=LONGEST_DESCRIPTION),
]


class FileUpdate(BaseModel):
    """What is to be different; what is left out stays, and `null` removes it."""

    filename: Annotated[Line, AfterValidator(_file_name)] | None = None
    """The name under which it is shown and downloaded; it cannot be removed."""
    title: Line | None = None
    """What people call it."""
    author: Line | None = None
    """Who made it."""
    description: Prose | None = None
    """What it is about."""

    model_config = ConfigDict(
        **{
            **documented({"title": "Talk with Ada", "author": "Radio team", "description": None}),
            "extra": "forbid",
        }
    )

    @model_validator(mode="after")
    def keeps_a_name(self) -> Self:
        """Refuse to take the file name away."""
        if "filename" in self.model_fields_set and self.filename is None:
            raise ValueError("filename cannot be removed")
        return self

    def changes(self) -> dict[str, Any]:
        """What was sent."""
        return self.model_dump(exclude_unset=True)


class Range(BaseModel):
    """The least and the greatest value that occurs; null: there is none."""

    min: float | None
    """The least value."""
    max: float | None
    """The greatest value."""

    model_config = documented({"min": 12.5, "max": 5400.0})

    @classmethod
    def of(cls, bounds: Bounds) -> Self:
        """The range with these ends."""
        return cls(min=bounds[0], max=bounds[1])


class MetadataFilters(BaseModel):
    """What one's files have; at most 200 values of each kind, the most frequent first."""

    formats: Sequence[str]
    """Containers, such as `mp4`."""
    codecs: Sequence[str]
    """Audio codecs."""
    video_codecs: Sequence[str]
    """Video codecs; known of files that are decoded."""
    languages: Sequence[str]
    """Languages that are spoken, as Whisper's codes."""
    content_types: Sequence[str]
    """Media types."""
    duration: Range
    """Seconds."""
    file_size: Range
    """Bytes."""
    width: Range
    """Pixels of videos that are decoded."""
    height: Range
    """The same of their height."""
    tags: Sequence[str]
    """One's tags, in alphabetical order."""
    speakers: Sequence[str]
    """Names that were given to speakers."""

    model_config = documented(
        {
            "formats": ["mp4", "flac"],
            "codecs": ["aac", "flac"],
            "video_codecs": ["avc1"],
            "languages": ["en", "de"],
            "content_types": ["video/mp4", "audio/flac"],
            "duration": {"min": 2.0, "max": 5400.0},
            "file_size": {"min": 60_000, "max": 900_000_000},
            "width": {"min": 640, "max": 1920},
            "height": {"min": 480, "max": 1080},
            "tags": ["interview"],
            "speakers": ["Ada"],
        }
    )

    @classmethod
    def of(cls, facets: Facets) -> Self:
        """The answer about what was found."""
        return cls(
            formats=facets.values["formats"],
            codecs=facets.values["audio_codecs"],
            video_codecs=facets.values["video_codecs"],
            languages=facets.values["languages"],
            content_types=facets.values["content_types"],
            tags=facets.tags,
            speakers=facets.speakers,
            **{name: Range.of(bounds) for name, bounds in facets.bounds.items()},
        )
