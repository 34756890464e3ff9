"""Bodies and answers about recordings that are fetched from an address."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.files.upload_schemas import TranscriptionOptions
from api.preferences import DownloadPreferences
from api.schemas import EXAMPLE_TASK, TaskOut, documented
from api.text import one_line
from db.models import TaskState
from pipelines.downloads.formats import AudioQuality, Quality, VideoQuality

MAX_URL_CHARACTERS = 2048
MAX_LABELS = 50

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARACTERS), one_line]
Label = Annotated[
    str, Field(min_length=1, max_length=50), one_line, Field(min_length=1, max_length=50)
]


class LinkRequest(BaseModel):
    """An address of a recording, of a page with one, or of a playlist."""

    url: Url
    """http or https, of a host that anybody can reach; without a user name or password."""
    video_quality: VideoQuality | None = None
    """The largest picture that is fetched; null: as you prefer. Pictures that a site keeps apart
    from the sound are left out."""
    audio_only: bool | None = None
    """Whether to fetch the sound alone where the site has it so; null: as you prefer."""
    audio_quality: AudioQuality | None = None
    """Most kilobits a second of the sound; null: as you prefer."""
    tags: Annotated[list[Label], Field(max_length=MAX_LABELS)] = []
    """Tags of the file; those that you do not have yet are made."""
    collection_ids: Annotated[list[uuid.UUID], Field(max_length=MAX_LABELS)] = []
    """Your collections that the file is put into."""
    options: TranscriptionOptions = TranscriptionOptions()
    """How it is to be transcribed."""

    model_config = documented(
        {
            "url": "https://media.example.org/talks/2030-01.mp4",
            "video_quality": "720p",
            "audio_only": False,
            "audio_quality": "best",
            "tags": ["talk"],
            "collection_ids": [],
            "options": {"language": "auto", "max_speakers": 4},
        }
    )

    def quality(self, preferred: DownloadPreferences) -> Quality:
        """What was asked for, or else is preferred."""
        return Quality(
            self.video_quality or VideoQuality(preferred.video_quality),
            preferred.audio_only if self.audio_only is None else self.audio_only,
            self.audio_quality or AudioQuality(preferred.audio_quality),
        )


class LinkOut(BaseModel):
    """A download. `task.result` names the file at its end, or counts the entries of a playlist."""

    task: TaskOut
    """The task that fetches it; of a playlist, the one that found it."""
    entries: Mapping[TaskState, int]
    """How many entries of a playlist are in each state; empty: it is none."""

    @classmethod
    def of(cls, task: TaskOut, entries: Mapping[TaskState, int]) -> Self:
        """The answer about a task and its entries."""
        return cls(task=task, entries=entries)

    model_config = documented(
        {
            "task": {**EXAMPLE_TASK, "kind": "playlist", "state": "completed"},
            "entries": {"queued": 7, "running": 1, "completed": 4},
        }
    )


class LinkQuota(BaseModel):
    """How much you may still fetch. Entries of playlists count."""

    per_hour: int
    """Downloads that you may ask for within an hour."""
    used_this_hour: int
    """Those of the last hour."""
    per_day: int
    """Downloads that you may ask for within a day."""
    used_today: int
    """Those of the last 24 hours."""
    max_open: int
    """With so many that wait or run, no further one is taken."""
    open: int
    """Those that wait or run."""

    model_config = documented(
        {
            "per_hour": 50,
            "used_this_hour": 3,
            "per_day": 500,
            "used_today": 12,
            "max_open": 20,
            "open": 1,
        }
    )
