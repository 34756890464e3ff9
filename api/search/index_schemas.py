"""Answers about the stores of search: how they stand, the task that makes them anew, models."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from db.models import TaskState
from pipelines.search.found import Source
from pipelines.search.requests import Action

EXAMPLE_STORE: dict[str, Any] = {
    "source": "keyword",
    "adapter": "postgresql",
    "status": "up",
    "complete": True,
    "seconds": 0.004,
    "files": 131,
    "files_indexed": 131,
    "passages_expected": 5210,
    "passages_stored": 5210,
    "changes_waiting": 0,
}


class IndexedStore(BaseModel):
    """One of the two stores, and what it has: of your files; for administrators, of all."""

    source: Source
    """What it looks by."""
    adapter: str
    """Which server plays the part."""
    status: Literal["up", "down"]
    """`down`: it does not answer, or the model does not whose vectors it has."""
    complete: bool
    """Whether it has every transcript as it is now, as far as numbers tell."""
    seconds: float
    """How long it took to answer."""
    files: int
    """Files that have a transcript."""
    files_indexed: int
    """Those of them that it has as they are now."""
    passages_expected: int
    """Passages that it was given."""
    passages_stored: int | None
    """Passages that it says it has; null: it does not answer."""
    changes_waiting: int
    """Changes, of everybody's files, that it is still to be told."""

    model_config = documented(EXAMPLE_STORE)


class IndexHealth(BaseModel):
    """How the stores of search stand."""

    status: Literal["up", "down"]
    """`down`: at least one of them is."""
    complete: bool
    """Whether both have every transcript as it is now."""
    stores: Sequence[IndexedStore]
    """Both of them."""

    model_config = documented({"status": "up", "complete": True, "stores": [EXAMPLE_STORE]})


EXAMPLE_TASK: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "action": "reindex",
    "state": "running",
    "stage": "index_words",
    "progress": 0.12,
    "eta_seconds": None,
    "error_type": None,
    "error_message": None,
    "created_at": EXAMPLE_MOMENT,
    "started_at": EXAMPLE_MOMENT,
    "finished_at": None,
    "result": {},
}


class IndexTask(BaseModel):
    """A task that makes the stores of search anew, or mends them."""

    id: uuid.UUID
    """The task's id."""
    action: Action
    """`reindex`: everything is brought to both anew; `repair`: only what differs."""
    state: TaskState
    """Where it stands."""
    stage: str | None
    """What it is doing, or did last."""
    progress: float
    """How much is done, 0..1."""
    eta_seconds: float | None
    """Seconds until its end, estimated; null: not known."""
    error_type: str | None
    """Why it failed, or its last attempt did; null: nothing failed."""
    error_message: str | None
    """The same in words."""
    created_at: datetime
    """When it was asked for."""
    started_at: datetime | None
    """When it began; null: it waits."""
    finished_at: datetime | None
    """When it ended; null: it has not."""
    result: dict[str, Any]
    """How many files it brought to each store, and removed; empty until its end."""

    model_config = documented(EXAMPLE_TASK)


class ReindexStatus(BaseModel):
    """Whether the stores are being made anew, and how far they are."""

    active: bool
    """Whether a task waits or is at work."""
    task: IndexTask | None
    """The latest one; null: there never was one."""
    stores: Sequence[IndexedStore]
    """What both stores have; while a new index is filled, the old one is searched."""

    model_config = documented({"active": True, "task": EXAMPLE_TASK, "stores": [EXAMPLE_STORE]})


EXAMPLE_MODEL: dict[str, Any] = {
    "name": "all-MiniLM-L6-v2",
    "in_use": True,
    "languages": "en",
    "licence": "Apache-2.0",
    "size_bytes": 91_336_405,
}


class TextModel(BaseModel):
    """A model of text embeddings that the catalogue knows."""

    name: str
    """What `RAYSCRIBE_TEXT_EMBEDDING_MODEL` calls it."""
    in_use: bool
    """Whether queries and passages are embedded by it."""
    languages: str
    """What it understands."""
    licence: str
    """Of its weights."""
    size_bytes: int
    """Bytes on disk."""

    model_config = documented(EXAMPLE_MODEL)


class TextModels(BaseModel):
    """Which model says what texts mean, and which there are."""

    embedding_model: str
    """Identity of the one in use, weights included: only its vectors are compared."""
    dimension: int
    """How many numbers its vectors have."""
    models: Sequence[TextModel]
    """Those of the catalogue; a folder of one's own may be in use instead."""

    model_config = documented(
        {
            "embedding_model": "all-MiniLM-L6-v2@53aa5117",
            "dimension": 384,
            "models": [EXAMPLE_MODEL],
        }
    )
