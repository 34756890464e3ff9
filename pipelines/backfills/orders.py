"""What a backfill was asked for, as it lies in its row."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from db.models import BackfillStage
from db.queries.backfill_files import Wanted
from pipelines.rerun import ReprocessStage

RECOMPUTED: Mapping[BackfillStage, ReprocessStage] = {
    BackfillStage.retranscribe: ReprocessStage.transcription,
    BackfillStage.rediarize: ReprocessStage.rediarize,
}
"""Stages that a transcription does, and what of its stored results is then forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which files, or which recordings of an object store."""

    owner_ids: Sequence[uuid.UUID] = ()
    file_ids: Sequence[uuid.UUID] = ()
    languages: Sequence[str] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    everything: bool = False
    edited: bool = False
    prefix: str | None = None
    """`s3://bucket/prefix`, or a prefix of the service's own bucket: what is below is imported."""
    manifest: str | None = None
    """Where a manifest lies: of files, or of recordings to be imported."""
    import_owner_id: uuid.UUID | None = None
    """Whose imported recordings are, where the manifest does not say."""

    def stored(self) -> dict[str, Any]:
        """As JSON; what was left out is left out."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: _json(value) for name, value in found.items() if value}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """As `stored` wrote it."""
        values = dict(stored)
        for name in ("owner_ids", "file_ids"):
            values[name] = tuple(uuid.UUID(one) for one in values.get(name, ()))
        for name in ("created_from", "created_to"):
            if name in values:
                values[name] = datetime.fromisoformat(values[name])
        if "import_owner_id" in values:
            values["import_owner_id"] = uuid.UUID(values["import_owner_id"])
        return cls(**values)

    @property
    def wanted(self) -> Wanted:
        """What it says of files that are here."""
        return Wanted(
            owner_ids=self.owner_ids,
            file_ids=self.file_ids,
            languages=self.languages,
            created_from=self.created_from,
            created_to=self.created_to,
            everything=self.everything,
            edited=self.edited,
        )


def _json(value: Any) -> Any:
    match value:
        case uuid.UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return [_json(one) for one in value]
        case _:
            return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a backfill may use; None: as much as there is."""

    audio_seconds: float | None = None
    model_seconds: float | None = None
    audio_seconds_per_minute: float | None = None
    actors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """All that somebody asks for."""

    stage: BackfillStage
    selection: Selection = field(default_factory=Selection)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the transcription, where the stage is one."""
    limits: Limits = field(default_factory=Limits)
