"""What is still to be done, in audio seconds, by role and lane: what replicas are counted by.

One statement over the queue, whoever works on what: each runner says the same.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.resources import Role
from cluster.scaling_policy import waiting_key
from db.models import Lane, Task, TaskKind, TaskState
from db.models.backfill import Backfill, BackfillEngine
from db.queries.tasks import ACTIVE
from pipelines import realigning
from pipelines.backlog import COST
from pipelines.plan import SHARE
from pipelines.speakers import reembed

WORK: Mapping[TaskKind, Mapping[str, float]] = {
    TaskKind.transcription: SHARE,
    TaskKind.voiceprints: reembed.SHARE,
    TaskKind.alignment: realigning.SHARE,
}
"""Kinds whose audio goes through models, with each stage's share of their progress."""
ROLES = {
    "transcribe": (Role.transcriber,),
    "diarize": (Role.speaker_segmenter, Role.speaker_embedder),
    "embed": (Role.speaker_embedder,),
    "align": (Role.aligner,),
}
"""Who works in a stage, of those whose number goes by audio."""
BESIDE = frozenset({"transcribe", "diarize", "align"})
"""Stages that run beside each other: their shares are one stretch of a task's progress."""


@dataclass(frozen=True, slots=True)
class Share:
    """Tasks of one kind, lane and progress, together."""

    kind: TaskKind
    lane: Lane
    waits: bool
    audio_seconds: float
    """Of all of them."""
    done_seconds: float
    """The part that their progress says is done, of the plan as a whole."""


async def remaining(session: AsyncSession) -> dict[str, float]:
    """Audio seconds by `waiting_key` of every role and lane; zero where nothing is to be done."""
    waits = (Task.state == TaskState.queued).label("waits")
    done = func.sum(COST * Task.progress)
    # A backfill with models of its own leaves the replicas alone.
    is_theirs = or_(Task.reserved.is_(False), Backfill.engine == BackfillEngine.online)
    is_due = or_(Task.state != TaskState.queued, Task.run_after <= func.now())
    rows = await session.execute(
        # By stage too: of tasks in different stages no sum could say what each lacks.
        select(Task.kind, Task.lane, waits, func.sum(COST), done)
        .outerjoin(Backfill, Backfill.id == Task.backfill_id)
        .where(Task.state.in_(ACTIVE), Task.kind.in_(WORK), is_theirs, is_due)
        .group_by(Task.kind, Task.lane, waits, Task.stage)
    )
    return by_role(Share(*row) for row in rows)


def by_role(shares: Iterable[Share]) -> dict[str, float]:
    """What is to be done, for each role and lane."""
    found: defaultdict[str, float] = defaultdict(float)
    for share in shares:
        for stage, seconds in by_stage(share).items():
            for role in ROLES.get(stage, ()):
                found[waiting_key(role, share.lane)] += seconds
    every = [waiting_key(role, lane) for roles in ROLES.values() for role in roles for lane in Lane]
    return {key: round(found[key], 3) for key in every}


def by_stage(share: Share) -> dict[str, float]:
    """What each stage has still to do, as the progress tells it: it goes through them in order."""
    stages = WORK[share.kind]
    if share.waits:
        return dict.fromkeys(stages, share.audio_seconds)
    found: dict[str, float] = {}
    begins = 0.0
    progress = share.done_seconds / share.audio_seconds if share.audio_seconds else 0.0
    for _, stretch in groupby(stages, lambda stage: BESIDE if stage in BESIDE else stage):
        beside = list(stretch)
        length = sum(stages[stage] for stage in beside)
        fraction = min(1.0, max(0.0, (progress - begins) / length))
        found |= dict.fromkeys(beside, share.audio_seconds * (1.0 - fraction))
        begins += length
    return found
