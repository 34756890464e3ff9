"""What runners need to drive backfills, and what they tell the actors that do them."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cluster.settings import BackfillSettings
from db.models import BackfillEngine, BackfillStage
from pipelines.backfills.sources import Buckets


class Halt(StrEnum):
    """Why a chunk was left before its end."""

    overtaken = "overtaken"
    """Somebody else drives the backfill now, or it is being cancelled or given back."""
    stopped = "stopped"
    """The backfill says why (`db.models.BackfillStop`)."""
    fatal = "fatal"
    """The actor cannot work, and could not write it down."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A claim of a backfill's task: what is begun under it names its fence."""

    backfill_id: uuid.UUID
    task_id: uuid.UUID
    fence: int
    stage: BackfillStage
    engine: BackfillEngine
    actors: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """References of some items: their numbers, both included. Never audio."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk."""

    items: int = 0
    """Those that ended here."""
    halt: Halt | None = None
    message: str = ""


class DriverDied(Exception):
    """What drove the backfill went away in its middle; nothing that was done is lost."""


class Driver(Protocol):
    """Has actors work through a backfill."""

    async def drive(self, drive: Drive, chunks: list[Chunk]) -> Outcome:
        """Work through all chunks, or up to the first that says why not; how many items ended.

        Whoever cancels it has the actors stopped, and what they had given back.

        Raises:
            DriverDied: ask again.
        """
        ...


@dataclass(frozen=True, slots=True)
class BackfillParts:
    """What a runner needs besides stores."""

    settings: BackfillSettings
    driver: Driver
    buckets: Buckets
