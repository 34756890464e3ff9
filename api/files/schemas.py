"""Answers about media files."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from api.listing import EXAMPLE_LABELS, ListedFile
from api.schemas import EXAMPLE_FILE, EXAMPLE_TASK, FileOut, TaskOut, documented
from db.models import MediaFile, Task


class FileDetail(ListedFile):
    """A media file with what its header and its decoding told, and its latest task."""

    probe: dict[str, Any]
    """What its header says: container, streams, duration."""
    metadata: Annotated[dict[str, Any], Field(validation_alias="media_metadata")]
    """What ExifTool read in it; empty until it is decoded."""
    task: TaskOut | None = None
    """Its latest task; null: it never had one."""

    model_config = documented(
        {
            **EXAMPLE_FILE,
            **EXAMPLE_LABELS,
            "probe": {"container": "mp4", "audio_codec": "aac"},
            "metadata": {},
            "task": None,
        }
    )


class Accepted(BaseModel):
    """A file that was taken in, and the task that transcribes it."""

    file: FileOut
    """The file as it is now."""
    task: TaskOut
    """Its new task."""

    @classmethod
    def of(cls, file: MediaFile, task: Task) -> Self:
        """The answer about these rows."""
        return cls(file=FileOut.model_validate(file), task=TaskOut.model_validate(task))

    model_config = documented(
        {
            "file": EXAMPLE_FILE,
            "task": EXAMPLE_TASK,
        }
    )
