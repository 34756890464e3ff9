"""Bodies and answers about summaries of one file."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, EXAMPLE_TASK, TaskOut, documented
from api.summarization.content_schemas import (
    EXAMPLE_CONTENT,
    EXAMPLE_SECTION,
    SummaryContent,
    SummarySection,
)
from cluster.settings import LlmProvider
from db.models import ContentType, FileStatus, MediaFile, Summary
from pipelines.language.wishes import OutputLanguage
from pipelines.notices import LanguageStatus

EXAMPLE_SUMMARY_TASK: dict[str, Any] = {
    **EXAMPLE_TASK,
    "kind": "summarization",
    "stage": "reading",
    "options": {"language": "en"},
    "audio_seconds": 0.0,
}


class SummaryRequest(BaseModel):
    """What a summary is made with; what is left out is as the user prefers."""

    force_regenerate: bool = False
    """Whether another one is made although there is one of the transcript as it is."""
    prompt_id: uuid.UUID | None = None
    """The prompt, from `/api/prompts`; left out: the active one, else the system's."""
    content_type: ContentType | None = None
    """What kind of recording it is: which of the system's prompts is taken, where none is named or
    active."""
    language: OutputLanguage | None = None
    """In which it is written; left out: as set at `/api/user-settings/ai-summary`, else as the
    transcript."""

    model_config = ConfigDict(
        **{**documented({"content_type": "meeting", "language": "en"}), "extra": "forbid"}
    )

    def options(self) -> dict[str, Any]:
        """As the task keeps it: what was asked for."""
        return self.model_dump(mode="json", exclude={"force_regenerate"}, exclude_none=True)


EXAMPLE_VERSION: dict[str, Any] = {
    "file_id": EXAMPLE_ID,
    "version": 2,
    "transcript_version": 7,
    "is_stale": False,
    "provider": "local",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "prompt_id": EXAMPLE_ID,
    "prompt_name": "Meeting",
    "language": "en",
    "action_items": 1,
    "prompt_tokens": 9120,
    "completion_tokens": 1430,
    "calls": 1,
    "seconds": 8.4,
    "created_at": EXAMPLE_MOMENT,
}


class SummaryVersion(BaseModel):
    """A version of a file's summary, without what it says."""

    file_id: uuid.UUID
    """The file's id."""
    version: int
    """From 1; grows with every summary of the file."""
    transcript_version: int
    """Of the transcript that it is of."""
    is_stale: bool
    """Whether the transcript was changed since: edited, a speaker named, processed anew."""
    provider: LlmProvider
    """Whose language model made it."""
    model: str
    """Which."""
    prompt_id: uuid.UUID | None
    """The prompt, which may be gone; null: not known."""
    prompt_name: str
    """What the prompt was called."""
    language: str
    """In which it is written, as a code."""
    action_items: int
    """How many things are to be done."""
    prompt_tokens: int
    """What the model read."""
    completion_tokens: int
    """What it wrote."""
    calls: int
    """How often it was asked."""
    seconds: float
    """How long it took."""
    created_at: datetime
    """When it was made."""

    model_config = documented(EXAMPLE_VERSION)

    @classmethod
    def of(cls, row: Summary, transcript_version: int | None) -> Self:
        """The answer about this row, whose transcript is now of this version."""
        return cls(**_facts(row, transcript_version))


FACTS = tuple(EXAMPLE_VERSION.keys() - {"file_id", "is_stale"})


def _facts(row: Summary, transcript_version: int | None) -> dict[str, Any]:
    return {
        "file_id": row.media_file_id,
        "is_stale": row.transcript_version != transcript_version,
        **{name: getattr(row, name) for name in FACTS},
    }


class SummaryOut(SummaryVersion):
    """A summary of a file."""

    filename: str
    """The file's name."""
    content: SummaryContent
    """What it says."""
    sections: Sequence[SummarySection]
    """What was noted of each section of the transcript, with its times."""

    model_config = documented(
        {
            **EXAMPLE_VERSION,
            "filename": "board.m4a",
            "content": EXAMPLE_CONTENT,
            "sections": [EXAMPLE_SECTION],
        }
    )

    @classmethod
    def whole(cls, row: Summary, transcript_version: int | None, file: MediaFile) -> Self:
        """The answer about this row of a file."""
        said = {"content": row.content, "sections": row.sections}
        return cls(filename=file.filename, **said, **_facts(row, transcript_version))


class SummaryState(BaseModel):
    """How a file's summary stands, and whether another one can be had."""

    file_id: uuid.UUID
    """The file's id."""
    filename: str
    """Its name."""
    transcription_status: FileStatus
    """How far its transcript is."""
    summary_status: LanguageStatus
    """How far the newest summary is that was asked for."""
    summary_exists: bool
    """Whether there is one, also if a newer one failed."""
    summary_version: int | None
    """The newest one; null: there is none."""
    is_stale: bool
    """Whether the transcript was changed since that was made."""
    llm_available: bool
    """Whether a language model is set up; whether it answers, `/api/llm-settings` tests."""
    can_retry: bool
    """Whether `…/retry` would be accepted."""
    task: TaskOut | None
    """The newest task that makes, or made, a summary; null: there was none."""

    model_config = documented(
        {
            "file_id": EXAMPLE_ID,
            "filename": "board.m4a",
            "transcription_status": "completed",
            "summary_status": "processing",
            "summary_exists": True,
            "summary_version": 2,
            "is_stale": True,
            "llm_available": True,
            "can_retry": False,
            "task": EXAMPLE_SUMMARY_TASK,
        }
    )
