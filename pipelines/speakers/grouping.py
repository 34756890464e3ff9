"""One attempt at grouping the unnamed voices of a user: read them, group them, store the groups."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.engine import Sessions, session_scope
from db.models import Speaker, Task, TaskKind
from db.queries import cluster_voices, clusters, speakers, tasks
from db.queries.cluster_voices import NOWHERE, Place, Voice
from db.queries.tasks import ACTIVE, TaskFilters
from pipelines import queue, task_state
from pipelines.errors import SpeakerRefused, TaskFailed
from pipelines.progress import ProgressMeter, reported
from pipelines.queue import Claim
from pipelines.speakers import cluster_edits, library
from pipelines.speakers.calibration import calibration
from pipelines.speakers.groups import (
    ALONE,
    Numbers,
    continued,
    of_several,
    to_means,
    without_pairs,
)
from pipelines.speakers.library import READ_AT_A_TIME, Library
from serving.ports import SpeakerClusterer

log = structlog.get_logger(__name__)

SHARE = {"read": 0.2, "cluster": 0.6, "write": 0.2}
"""Each stage's share of the progress."""
SAME_COSINE = 1e-4
"""Below this a similarity is what it was: the row is not written again."""


async def submit(session: AsyncSession, user_id: uuid.UUID) -> Task:
    """Queue a clustering of the user's unnamed voices, in this transaction.

    Raises:
        SpeakerRefused: one is under way.
    """
    await speakers.serialise(session, user_id)
    under_way = TaskFilters(states=ACTIVE, kinds=[TaskKind.clustering])
    active, _ = await tasks.page(session, user_id, under_way, limit=1, offset=0)
    if active:
        raise SpeakerRefused(
            f"Task {active[0].id} is grouping your voices: wait for its end, or cancel it."
        )
    return await queue.submit(
        session, user_id=user_id, media_file_id=None, kind=TaskKind.clustering
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the task tells its user."""

    voices: int = 0
    grouped: int = 0
    clusters: int = 0


@dataclass(frozen=True, slots=True)
class GroupingWork:
    """A claimed clustering.

    Clusters that a person keeps stay as they are, with their members. The others are found anew;
    one that goes on under another composition keeps its id and label.
    """

    task: Task
    sessions: Sessions
    clusterer: SpeakerClusterer
    settings: VoiceSettings

    @property
    def held(self) -> Claim:
        """What every write names."""
        return Claim(self.task.id, self.task.fence)

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the clusters.

        Raises:
            TaskFailed: there are more voices than are grouped at a time.
            FenceLost: somebody else has the task, or it was cancelled.
        """
        async with reported(self.sessions, self.held, SHARE) as meter:
            async with session_scope(self.sessions) as session:
                model = await cluster_voices.latest_model(session, self.task.user_id)
            found = await self._read(model, meter)
            groups = await self._group(model, found, meter)
            await self._store(model, found, groups, meter)

    async def _read(self, model: str | None, meter: ProgressMeter) -> Library:
        """Every page in a transaction of its own: the whole takes seconds."""
        wanted = and_(
            cluster_voices.free(self.task.user_id, model or ""),
            Speaker.clean_seconds >= self.settings.min_clean_seconds,
        )
        async with session_scope(self.sessions) as session:
            total = await cluster_voices.count(session, wanted)
        most = self.settings.max_clustered_voices
        if total > most:
            raise TaskFailed(
                "too_many_voices", f"You have {total} voices without a name; {most} are grouped."
            )

        async def fetch(last: Voice | None) -> Sequence[Voice]:
            async with session_scope(self.sessions) as session:
                return await cluster_voices.read(session, wanted, last, READ_AT_A_TIME)

        return await library.collect(fetch, lambda done: meter("read", done, total))

    async def _group(self, model: str | None, found: Library, meter: ProgressMeter) -> Numbers:
        meter("cluster", 0, 1)
        if model is None or len(found.ids) < 2:
            return np.full(len(found.ids), ALONE, dtype=np.int32)
        async with session_scope(self.sessions) as session:
            apart = await cluster_voices.kept_apart(session, self.task.user_id)
        threshold = calibration(model, self.settings).clustering
        groups = await self.clusterer.group(
            found.vectors, found.recordings, found.pairs(apart), threshold
        )
        meter("cluster", 1, 1)
        return groups

    async def _store(
        self, model: str | None, found: Library, groups: Numbers, meter: ProgressMeter
    ) -> None:
        # Before anybody has to wait for it: seconds, where there are many voices.
        plan = None
        if model is not None:
            async with session_scope(self.sessions) as session:
                plan = await planned(session, self.task.user_id, model, found, groups)
        async with session_scope(self.sessions) as session:
            await speakers.serialise(session, self.task.user_id, patience=None)
            # The row is locked by the step at the end: heartbeats must not wait for the rest.
            task = await queue.held_task(session, self.held, lock=False)
            step = task_state.on_success(task)
            outcome = Outcome()
            if model is not None:
                await cluster_voices.hold_files(session, cluster_voices.unnamed(task.user_id))
                plan = await planned(session, task.user_id, model, found, groups, plan)
                outcome = plan.arrangement.outcome
                await store(
                    session,
                    task.user_id,
                    model,
                    plan.arrangement,
                    lambda done, total: meter("write", done, total),
                )
            await queue.complete(
                session,
                task,
                step,
                result={
                    "voices": outcome.voices,
                    "grouped": outcome.grouped,
                    "clusters": outcome.clusters,
                },
            )
        log.info("voices grouped", voices=outcome.voices, clusters=outcome.clusters)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What is to be written."""

    made: Sequence[uuid.UUID]
    going_on: Sequence[uuid.UUID]
    moved: Sequence[tuple[uuid.UUID, Place]]
    """Only those whose place is another one."""
    outcome: Outcome


async def store(
    session: AsyncSession,
    user_id: uuid.UUID,
    model: str,
    wanted: Arrangement,
    told: Callable[[int, int], None],
) -> None:
    """Bring the user's clusters to this; their speakers are serialised, and their files held."""
    await clusters.renew(session, user_id, model, wanted.made, wanted.going_on)
    await cluster_voices.move(session, user_id, wanted.moved, told)
    for cluster in await clusters.of_other_models(session, user_id, model):
        await cluster_edits.refresh(session, cluster)
    await clusters.remove_empty(session, user_id)


@dataclass(frozen=True, slots=True)
class Plan:
    """An arrangement, and what it was made of."""

    places: Mapping[uuid.UUID, Place]
    apart: Sequence[tuple[uuid.UUID, uuid.UUID]]
    arrangement: Arrangement


async def planned(
    session: AsyncSession,
    user_id: uuid.UUID,
    model: str,
    found: Library,
    groups: Numbers,
    before: Plan | None = None,
) -> Plan:
    """Say where voices go as things are now; as `before`, if they are as they were then.

    What was decided since the voices were read holds: whoever has a name by now, is kept together
    with others, or was said not to be one of a group, is left out.
    """
    places = await cluster_voices.places(session, cluster_voices.free(user_id, model))
    apart = await cluster_voices.kept_apart(session, user_id)
    if before is not None and (before.places, before.apart) == (places, apart):
        return before
    arrangement = await asyncio.to_thread(arrange, found, groups, places, apart)
    return Plan(places, apart, arrangement)


def arrange(
    found: Library,
    groups: Numbers,
    places: Mapping[uuid.UUID, Place],
    apart: Sequence[tuple[uuid.UUID, uuid.UUID]],
) -> Arrangement:
    """Say where the voices go that may still go anywhere (`places`, where they are now)."""
    still = np.array([speaker_id in places for speaker_id in found.ids], dtype=bool)
    groups = np.where(still, groups, ALONE).astype(np.int32)
    groups = without_pairs(groups, to_means(found.vectors, groups), found.pairs(apart))
    groups = of_several(groups)
    similarity = to_means(found.vectors, groups)
    known, before = _clusters_before(found.ids, places)
    goes_on = {group: known[old] for group, old in continued(groups, before).items()}
    number = int(groups.max(initial=ALONE)) + 1
    made = {group: uuid.uuid4() for group in range(number) if group not in goes_on}
    of_group = goes_on | made
    wanted = dict.fromkeys(places, NOWHERE)
    for index in np.flatnonzero(groups != ALONE).tolist():
        cluster_id = of_group[int(groups[index])]
        wanted[found.ids[index]] = Place(cluster_id, float(similarity[index]))
    return Arrangement(
        made=list(made.values()),
        going_on=list(goes_on.values()),
        moved=[(key, place) for key, place in wanted.items() if _elsewhere(places[key], place)],
        outcome=Outcome(len(found.ids), int((groups != ALONE).sum()), number),
    )


def _clusters_before(
    ids: Sequence[uuid.UUID], places: Mapping[uuid.UUID, Place]
) -> tuple[Sequence[uuid.UUID], Numbers]:
    """Clusters that the voices are in, and for each voice which of them."""
    now = [places.get(speaker_id, NOWHERE).cluster_id for speaker_id in ids]
    known = [cluster_id for cluster_id in dict.fromkeys(now) if cluster_id is not None]
    number = {cluster_id: n for n, cluster_id in enumerate(known)}
    before = [ALONE if cluster_id is None else number[cluster_id] for cluster_id in now]
    return known, np.array(before, dtype=np.int32)


def _elsewhere(now: Place, then: Place) -> bool:
    if now.cluster_id != then.cluster_id or now.similarity is None or then.similarity is None:
        return now != then
    return abs(now.similarity - then.similarity) > SAME_COSINE
