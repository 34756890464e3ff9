"""Turns how the stores of search stand into answers."""

from collections.abc import Sequence

from api.search.index_schemas import (
    IndexedStore,
    IndexHealth,
    IndexTask,
    ReindexStatus,
    TextModel,
    TextModels,
)
from db.models import Task
from db.queries.tasks import ACTIVE
from pipelines.search.requests import ACTION, Action
from pipelines.search.standing import Model, Store
from serving.model_entries import MODELS
from serving.model_kinds import Role


def task(row: Task) -> IndexTask:
    """The answer about a task."""
    return IndexTask(
        id=row.id,
        action=Action(row.options[ACTION]),
        state=row.state,
        stage=row.stage,
        progress=row.progress,
        eta_seconds=row.eta_seconds,
        error_type=row.error_type,
        error_message=row.error_message,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        result=row.result,
    )


def _store(found: Store) -> IndexedStore:
    return IndexedStore(
        source=found.source,
        adapter=found.adapter,
        status="up" if found.is_up else "down",
        complete=found.is_complete,
        seconds=round(found.seconds, 4),
        files=found.brought.files,
        files_indexed=found.brought.indexed,
        passages_expected=found.brought.passages,
        passages_stored=found.stored,
        changes_waiting=found.waiting,
    )


def health(stores: Sequence[Store]) -> IndexHealth:
    """The answer about both stores."""
    return IndexHealth(
        status="up" if all(one.is_up for one in stores) else "down",
        complete=all(one.is_complete for one in stores),
        stores=[_store(one) for one in stores],
    )


def status(latest: Task | None, stores: Sequence[Store]) -> ReindexStatus:
    """The answer about the latest task."""
    return ReindexStatus(
        active=latest is not None and latest.state in ACTIVE,
        task=task(latest) if latest else None,
        stores=[_store(one) for one in stores],
    )


def models(in_use: Model) -> TextModels:
    """The answer about models; an identity is a name, and of which weights."""
    name, _, _ = in_use.identity.partition("@")
    return TextModels(
        embedding_model=in_use.identity,
        dimension=in_use.dimension,
        models=[
            TextModel(
                name=model.name,
                in_use=model.name == name,
                languages=model.languages,
                licence=model.licence,
                size_bytes=model.size_bytes,
            )
            for model in MODELS
            if model.role is Role.text_embedding
        ],
    )
