"""Answers of the administrators' routes of voiceprints."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from api.schemas import documented
from db.models import TaskState

MODEL = "campplus-zh-en-common@92f29b94"


class ModelVoices(BaseModel):
    """Speakers of files by the model that looked at them last."""

    embedding_model: str | None
    """The model's identity; null: none has looked at them."""
    speakers: int
    """How many."""
    without_voiceprint: int
    """Those of them without a voiceprint: they never speak alone for long enough."""
    files: int
    """In how many files."""

    model_config = documented(
        {"embedding_model": MODEL, "speakers": 412, "without_voiceprint": 9, "files": 118}
    )


class ModelClips(BaseModel):
    """Clips of people by the model that embedded them."""

    embedding_model: str | None
    """The model's identity; null: not embedded."""
    enrolments: int
    """How many."""

    model_config = documented({"embedding_model": MODEL, "enrolments": 12})


class StaleVoiceprints(BaseModel):
    """What is to be embedded anew."""

    files: int
    """Files with a voice that the model in use has not looked at."""
    enrolments: int
    """Clips of people that another model has embedded."""

    model_config = documented({"files": 3, "enrolments": 0})


EXAMPLE: dict[str, Any] = {
    "embedding_model": MODEL,
    "by_model": [
        {"embedding_model": MODEL, "speakers": 412, "without_voiceprint": 9, "files": 118}
    ],
    "enrolments_by_model": [{"embedding_model": MODEL, "enrolments": 12}],
    "stale": {"files": 3, "enrolments": 0},
    "tasks": dict.fromkeys(TaskState, 0) | {"queued": 3, "completed": 115},
}


class VoiceprintStatus(BaseModel):
    """Which voiceprints there are, and how far they are the model's that is in use."""

    embedding_model: str
    """Identity of the model in use: only its voiceprints can be compared with new ones."""
    by_model: Sequence[ModelVoices]
    """Speakers of all files, the model with most first."""
    enrolments_by_model: Sequence[ModelClips]
    """Clips of all people."""
    stale: StaleVoiceprints
    """What `POST /api/admin/voiceprints/reembed` would see to, or is seen to already."""
    tasks: Mapping[TaskState, int]
    """Tasks that embed voices or clips, by state."""

    model_config = documented(EXAMPLE)


class ReembeddingBegun(BaseModel):
    """Tasks that were queued, in the bulk lane."""

    embedding_model: str
    """Identity of the model that they will ask."""
    files: int
    """For so many files."""
    enrolments: int
    """For so many clips."""
    more: bool
    """Whether more may be to be queued: ask again."""

    model_config = documented(
        {"embedding_model": MODEL, "files": 3, "enrolments": 0, "more": False}
    )


class ResyncBegun(BaseModel):
    """What the vector store is going to be told anew."""

    notes: int
    """Files and people that were noted; runners see to them one after the other."""

    model_config = documented({"notes": 131})
