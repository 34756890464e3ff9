"""After a change of model: which voiceprints are of another one, and tasks that embed them anew.

Nothing is remembered about a backfill. What is still to be done follows from the rows, so that it
goes on after whatever stopped it, and asking twice asks for nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Lane, TaskState
from db.queries import reembedding
from db.queries.reembedding import ModelCount, Stale
from pipelines.speakers import requests


@dataclass(frozen=True, slots=True)
class Overview:
    """Where voiceprints stand."""

    embedding_model: str
    """The one in use."""
    by_model: Sequence[ModelCount]
    enrolments_by_model: Mapping[str | None, int]
    stale: Stale
    tasks: Mapping[TaskState, int]


@dataclass(frozen=True, slots=True)
class Begun:
    """Tasks that were queued, and whether more are to be."""

    files: int
    enrolments: int
    more: bool

    def __add__(self, later: "Begun") -> "Begun":
        """Both, one after the other."""
        return Begun(self.files + later.files, self.enrolments + later.enrolments, later.more)

    @property
    def total(self) -> int:
        """All of them."""
        return self.files + self.enrolments


async def overview(session: AsyncSession, model: str) -> Overview:
    """Voiceprints by model, what is not of this one, and the tasks about that."""
    return Overview(
        model,
        await reembedding.by_model(session),
        await reembedding.enrolments_by_model(session),
        await reembedding.stale(session, model),
        await reembedding.tasks_by_state(session),
    )


async def begin(session: AsyncSession, model: str, limit: int) -> Begun:
    """Queue tasks in the bulk lane for files and clips that are not of this model, at most `limit`.

    Those that have a task which is not over are left out. People's clips come first: there are
    few, and everybody is recognised by them. A file whose task failed before is asked for again.
    """
    await reembedding.serialise(session)
    clips = await reembedding.clips(session, model, limit)
    for user_id, enrolment_id in clips:
        await requests.of_enrolment(session, user_id, enrolment_id, lane=Lane.bulk)
    files = await reembedding.files(session, model, limit - len(clips))
    for file in files:
        seconds = file.duration or 0.0
        await requests.of_file(session, file.user_id, file.id, seconds, lane=Lane.bulk)
    return Begun(len(files), len(clips), more=len(files) + len(clips) == limit)
