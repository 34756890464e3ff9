"""Bodies and answers about backfills."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.periods import AwareMoment
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.speech_options import SpeechOptions
from api.text import key
from db.models import BackfillEngine, BackfillStage, BackfillStop, ItemState, TaskState
from pipelines.backfills.orders import RECOMPUTED, Limits, Order, Selection
from pipelines.backfills.reporting import Standing

HOUR = 3600.0
MOST_NAMED = 1000
"""Owners or files that a request names; a manifest names any number."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Location = Annotated[str, Field(min_length=1, max_length=1024), key]
Language = Annotated[str, Field(pattern="^[a-z]{2,10}$")]
OF_IMPORTS = frozenset({"prefix", "manifest", "import_owner_id"})
"""What a selection says of an import: all below the prefix, or in the manifest, is taken in."""


class Selected(BaseModel):
    """Which files; what is left out narrows nothing."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    owner_ids: Annotated[list[uuid.UUID], Field(max_length=MOST_NAMED)] = []
    """Only these users'."""
    file_ids: Annotated[list[uuid.UUID], Field(max_length=MOST_NAMED)] = []
    """Only these."""
    languages: Annotated[list[Language], Field(max_length=100)] = []
    """Only files in which these are spoken."""
    created_from: AwareMoment | None = None
    """Only files that came in from then on."""
    created_to: AwareMoment | None = None
    """Only files that came in before."""
    everything: bool = False
    """Also files that are already as the stage would make them."""
    edited: bool = False
    """Also transcripts that people have worked on: a new transcript takes their work with it."""
    prefix: Location | None = None
    """Of an import: what lies below it, as `s3://bucket/prefix` or below `import/`."""
    manifest: Location | None = None
    """Where a list of files or recordings lies: JSON lines or Parquet."""
    import_owner_id: uuid.UUID | None = None
    """Of an import: whose the recordings will be, unless the manifest says it; left out: yours."""

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        """Refuse what nothing can lie in, and two places at a time."""
        low, high = self.created_from, self.created_to
        if low is not None and high is not None and low >= high:
            raise ValueError("`created_from` is not before `created_to`: no file lies between")
        if self.prefix is not None and self.manifest is not None:
            raise ValueError("say `prefix` or `manifest`, not both")
        return self

    @property
    def said(self) -> frozenset[str]:
        """The names of what differs from saying nothing."""
        return frozenset(self.model_dump(exclude_defaults=True))


class SpokenOptions(SpeechOptions, extra="forbid"):
    """How transcriptions of it are made; what is left out stays as in each file's last one."""

    def stored(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            LanguageUnsupported: Whisper does not know the language.
        """
        self.require_known_language()
        return self.model_dump(exclude_none=True)


class Bounds(BaseModel):
    """How much it may use; what is left out is not bounded."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    audio_hours: Positive | None = None
    """Hours of audio after which nothing more is begun."""
    model_seconds: Positive | None = None
    """Seconds that models were busy, after which nothing more is begun."""
    audio_seconds_per_minute: Rate | None = None
    """Audio that is begun per minute, at most."""
    actors: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Actors that work on it, at most; never more than the operator allows."""

    def limits(self) -> Limits:
        """As the pipelines know them."""
        return Limits(
            audio_seconds=self.audio_hours * HOUR if self.audio_hours else None,
            model_seconds=self.model_seconds,
            audio_seconds_per_minute=self.audio_seconds_per_minute,
            actors=self.actors,
        )


class BackfillRequest(BaseModel):
    """What is to be done to which files."""

    stage: BackfillStage
    """The stage that each file goes through."""
    engine: BackfillEngine = BackfillEngine.inprocess
    """`inprocess`: models in the backfill's own actors; `online`: the replicas that serve users."""
    selection: Selected = Selected()
    """Which files."""
    options: SpokenOptions = SpokenOptions()
    """Of transcriptions."""
    limits: Bounds = Bounds()
    """How much it may use."""

    model_config = {
        **documented({"stage": "re-transcribe", "selection": {"languages": ["de"]}}),
        "extra": "forbid",
    }

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        """Refuse what says nothing of the stage."""
        is_import = self.stage is BackfillStage.bring_in
        has_source = self.selection.prefix is not None or self.selection.manifest is not None
        if is_import and not has_source:
            raise ValueError("an import needs a `prefix` or a `manifest`")
        if is_import and (narrowing := self.selection.said - OF_IMPORTS):
            raise ValueError(
                "an import takes all below its prefix or in its manifest: "
                f"`{min(narrowing)}` narrows nothing (the language to transcribe in is "
                "`options.language`)"
            )
        if not is_import and (of_imports := self.selection.said & {"prefix", "import_owner_id"}):
            raise ValueError(f"only an import has `{max(of_imports)}`")
        if self.options.model_fields_set and self.stage not in {
            *RECOMPUTED,
            BackfillStage.bring_in,
        }:
            raise ValueError(f"{self.stage} makes no transcription that `options` could be of")
        return self

    def order(self) -> Order:
        """As the pipelines know it."""
        return Order(
            stage=self.stage,
            selection=Selection(**self.selection.model_dump()),
            options=self.options.stored(),
            limits=self.limits.limits(),
        )


class ResumeRequest(BaseModel):
    """How a backfill goes on."""

    retry_failed: bool = False
    """Whether files that failed are tried again."""
    limits: Bounds = Bounds()
    """Limits that take the place of those before; what is left out stays."""

    model_config = {
        **documented({"retry_failed": True, "limits": {"audio_hours": 500}}),
        "extra": "forbid",
    }


class ManifestOut(BaseModel):
    """A manifest that is kept."""

    location: str
    """What `selection.manifest` calls it."""
    rows: int
    """How many it has."""

    model_config = documented(
        {"location": f"backfills/manifests/{EXAMPLE_ID}", "rows": 1200},
    )


class PlanOut(BaseModel):
    """What a backfill would be, estimated."""

    files: int
    """Files."""
    owners: int
    """Users whose they are; of an import, 1."""
    left_out: int
    """Files that are chosen and stay as they are, since people have worked on them."""
    audio_hours: float
    """Hours of audio; of an import, reckoned from bytes."""
    windows: int
    """Windows that would be transcribed or aligned."""
    model_seconds: Mapping[str, float]
    """How long models would be busy, by stage; empty: nothing is known yet."""
    cost: float
    """What that costs by the operator's prices."""
    currency: str
    """In which."""
    rtfx: float
    """Audio seconds per second that it is reckoned with."""
    measured: bool
    """Whether that was measured here; else it is assumed."""
    seconds: float
    """How long it would take, if nothing else is to be done."""
    finish_at: datetime
    """When it would be over if it began now."""
    cut_by: Literal["audio_hours", "model_seconds"] | None
    """Which limit would end it before its end."""

    model_config = documented(
        {
            "files": 1200,
            "owners": 14,
            "left_out": 3,
            "audio_hours": 830.5,
            "windows": 119592,
            "model_seconds": {"transcribe": 41000.0, "diarize": 22000.0},
            "cost": 14.2,
            "currency": "EUR",
            "rtfx": 40.0,
            "measured": True,
            "seconds": 74745.0,
            "finish_at": EXAMPLE_MOMENT,
            "cut_by": None,
        }
    )


EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "stage": "re-transcribe",
    "engine": "inprocess",
    "state": "running",
    "task_id": EXAMPLE_ID,
    "progress": 0.42,
    "eta_seconds": 4200.0,
    "selected": True,
    "items": {"waiting": 60, "done": 38, "failed": 1, "skipped": 1},
    "audio_hours": 20.5,
    "total_audio_hours": 51.0,
    "model_seconds": 1800.0,
    "selection": {"languages": ["de"]},
    "stopped": None,
    "error_type": None,
    "error_message": None,
    "created_at": EXAMPLE_MOMENT,
    "finished_at": None,
}


class BackfillOut(BaseModel):
    """A backfill, and how far it is."""

    id: uuid.UUID
    """Its id."""
    stage: BackfillStage
    """The stage that each file goes through."""
    engine: BackfillEngine
    """Where the models of it answer."""
    state: TaskState
    """Of what drives it; `completed` also where a budget ended it (`stopped`)."""
    task_id: uuid.UUID | None
    """The task that drives it, or drove it last; null: its account was deleted."""
    progress: float
    """How much is done, 0..1."""
    eta_seconds: float | None
    """Seconds until its end, estimated; null: not known."""
    selected: bool
    """Whether all files are written down; until then `items` grow."""
    items: Mapping[ItemState, int]
    """How many files are in each state."""
    audio_hours: float
    """Hours of audio that are done."""
    total_audio_hours: float
    """Of all files, as far as it is known."""
    model_seconds: float
    """How long models were busy with it."""
    selection: Mapping[str, Any]
    """Which files were asked for."""
    stopped: BackfillStop | None
    """Why it ended before all was done."""
    error_type: str | None
    """What was missing, where that ended it."""
    error_message: str | None
    """The same in words."""
    created_at: datetime
    """When it was asked for."""
    finished_at: datetime | None
    """When it ended; null: it has not."""

    model_config = documented(EXAMPLE)

    @classmethod
    def of(cls, found: Standing) -> Self:
        """From its rows."""
        row, driver, counts = found.backfill, found.driver, found.counts
        over = counts.total - counts.waiting
        is_done = row.selected_at is not None and not counts.waiting
        return cls(
            id=row.id,
            stage=row.stage,
            engine=row.engine,
            state=driver.state if driver else TaskState.cancelled,
            task_id=driver.id if driver else None,
            progress=1.0 if is_done else over / counts.total if counts.total else 0.0,
            eta_seconds=driver.eta_seconds if driver else None,
            selected=row.selected_at is not None,
            items={state: counts.by_state.get(state, 0) for state in ItemState},
            audio_hours=counts.audio_seconds / HOUR,
            total_audio_hours=counts.total_audio_seconds / HOUR,
            model_seconds=counts.model_seconds,
            selection=row.selection,
            stopped=row.stopped,
            error_type=row.error_type,
            error_message=row.error_message,
            created_at=row.created_at,
            finished_at=driver.finished_at if driver else None,
        )
