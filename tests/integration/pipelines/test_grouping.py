"""Clustering of a user's unnamed voices as a task, over PostgreSQL and the real engine."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from sqlalchemy import select, update

from cluster.settings import VoiceSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost
from db.models import (
    CannotLink,
    MediaFile,
    Speaker,
    SpeakerCluster,
    Task,
    TaskEvent,
    TaskKind,
    TaskState,
)
from db.queries import cluster_voices, speakers
from db.queries.cluster_voices import Voice
from pipelines import queue
from pipelines.errors import IllegalTransition, SpeakerRefused, TaskFailed
from pipelines.speakers import cluster_edits, grouping, library
from pipelines.speakers.grouping import GroupingWork
from pipelines.speakers.library import READ_AT_A_TIME
from serving.ports import Ports, SpeakerClusterer
from tests.fixtures.runner import SETTINGS, ended, running, until, with_parts
from tests.fixtures.unnamed import clustered, places, recorded, somebody


@dataclass
class Gate:
    """Holds the answer back, so that something can happen meanwhile."""

    port: SpeakerClusterer
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def group(self, *arguments):
        answer = await self.port.group(*arguments)
        self.reached.set()
        await self.open.wait()
        return answer


@pytest.fixture
def clusterer(ports: Ports) -> SpeakerClusterer:
    return ports.clusterer


@pytest.fixture
async def user_id(sessions) -> uuid.UUID:
    return await somebody(sessions)


async def claimed(sessions: Sessions, user_id: uuid.UUID) -> Task:
    """A clustering in a runner's hands."""
    async with session_scope(sessions) as session:
        task = await grouping.submit(session, user_id)
    async with session_scope(sessions) as session:
        found = await queue.claim(session, "test", SETTINGS)
    assert found.task.id == task.id
    return found.task


async def grouped(
    sessions: Sessions, user_id: uuid.UUID, clusterer, settings: VoiceSettings | None = None
) -> Task:
    """The task after its end."""
    task = await claimed(sessions, user_id)
    await GroupingWork(task, sessions, clusterer, settings or VoiceSettings()).run()
    async with session_scope(sessions) as session:
        return await session.get_one(Task, task.id)


async def clusters_of(sessions: Sessions, user_id: uuid.UUID) -> dict[uuid.UUID, SpeakerCluster]:
    async with session_scope(sessions) as session:
        rows = await session.scalars(
            select(SpeakerCluster).where(SpeakerCluster.user_id == user_id)
        )
        return {row.id: row for row in rows}


async def change(sessions: Sessions, speaker_id: uuid.UUID, **values) -> None:
    async with session_scope(sessions) as session:
        await session.execute(update(Speaker).where(Speaker.id == speaker_id).values(**values))


async def test_voices_of_one_person_become_a_cluster(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 1, 0, 1, 0, 2])
    other = await somebody(sessions)
    theirs = await recorded(sessions, other, [0, 0])

    task = await grouped(sessions, user_id, clusterer)

    assert (task.state, task.progress) == (TaskState.completed, 1.0)
    assert task.result == {"voices": 6, "grouped": 5, "clusters": 2}
    found = await places(sessions, voices)
    assert found[0] == found[2] == found[4] != found[1] == found[3]
    assert found[5] is None
    assert found[0] is not None
    assert found[1] is not None
    assert await places(sessions, theirs) == [None, None]
    async with session_scope(sessions) as session:
        similarities = list(
            await session.scalars(
                select(Speaker.cluster_similarity).where(Speaker.cluster_id.is_not(None))
            )
        )
    assert len(similarities) == 5
    assert all(0.95 < one <= 1.0001 for one in similarities)


async def test_clustering_again_changes_nothing(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 1, 0, 1])
    await grouped(sessions, user_id, clusterer)
    async with session_scope(sessions) as session:
        before = (await session.execute(select(Speaker.id, Speaker.cluster_id, _version()))).all()

    await grouped(sessions, user_id, clusterer)

    async with session_scope(sessions) as session:
        after = (await session.execute(select(Speaker.id, Speaker.cluster_id, _version()))).all()
    assert sorted(after) == sorted(before)
    assert len(await clusters_of(sessions, user_id)) == 2
    assert None not in await places(sessions, voices)


def _version():
    from sqlalchemy import literal_column

    return literal_column("speaker.xmin::text")


async def test_a_cluster_that_grows_keeps_its_id_and_label(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 0])
    await grouped(sessions, user_id, clusterer)
    [cluster_id, _] = await places(sessions, voices)
    async with session_scope(sessions) as session:
        await session.execute(update(SpeakerCluster).values(label="Deep"))
    later = await recorded(sessions, user_id, [0, 0, 0, 1, 1])

    await grouped(sessions, user_id, clusterer)

    found = await places(sessions, [*voices, *later])
    assert found[:5] == [cluster_id] * 5
    assert found[5] == found[6] != cluster_id
    assert (await clusters_of(sessions, user_id))[cluster_id].label == "Deep"


async def test_clusters_that_a_person_keeps_stay_as_they_are(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 1, 0, 0, 1])
    kept = await clustered(sessions, user_id, voices[:2], kept=True)

    task = await grouped(sessions, user_id, clusterer)

    found = await places(sessions, voices)
    assert found[:2] == [kept, kept]
    assert found[2] == found[3] not in {None, kept}
    assert found[4] is None
    assert task.result["voices"] == 3


async def test_clusters_that_do_not_hold_are_gone(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 1])
    await clustered(sessions, user_id, voices)
    await clustered(sessions, user_id, [], kept=True)

    await grouped(sessions, user_id, clusterer)

    assert await places(sessions, voices) == [None, None]
    assert not await clusters_of(sessions, user_id)
    async with session_scope(sessions) as session:
        assert set(await session.scalars(select(Speaker.cluster_similarity))) == {None}


async def test_what_was_said_not_to_be_the_same_stays_apart(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 0, 0])
    async with session_scope(sessions) as session:
        await cluster_voices.keep_apart(session, voices[:1], voices[1:])

    await grouped(sessions, user_id, clusterer)

    found = await places(sessions, voices)
    assert found[0] is None
    assert found[1] == found[2] is not None


async def test_voices_of_one_recording_are_never_together(sessions, user_id, clusterer):
    voices = await recorded(sessions, user_id, [0, 0], in_one_file=True)
    await grouped(sessions, user_id, clusterer)
    assert await places(sessions, voices) == [None, None]


async def test_only_voices_that_can_be_compared(sessions, user_id, clusterer):
    short = await recorded(sessions, user_id, [0, 0], clean_seconds=1.0)
    older = await recorded(sessions, user_id, [0, 0], embedding_model="of before")
    named = await recorded(sessions, user_id, [0, 0], display_name="Ada")
    without = await recorded(sessions, user_id, [0], embedding=None, embedding_model=None)
    voices = await recorded(sessions, user_id, [0, 0])

    task = await grouped(sessions, user_id, clusterer)

    assert set(await places(sessions, [*short, *older, *named, *without])) == {None}
    assert None not in await places(sessions, voices)
    assert task.result == {"voices": 2, "grouped": 2, "clusters": 1}


async def test_after_a_change_of_model_kept_clusters_are_compared_by_the_new_one(
    sessions, user_id, clusterer
):
    voices = await recorded(sessions, user_id, [0, 0])
    kept = await clustered(sessions, user_id, voices, kept=True, embedding_model="of before")

    await grouped(sessions, user_id, clusterer)

    assert (await clusters_of(sessions, user_id))[kept].embedding_model == "fake"
    async with session_scope(sessions) as session:
        rows = await session.scalars(select(Speaker.cluster_similarity))
        assert all(one > 0.95 for one in rows)


async def test_of_nobody_there_is_nothing(sessions, user_id, clusterer):
    task = await grouped(sessions, user_id, clusterer)
    assert (task.state, task.result["clusters"]) == (TaskState.completed, 0)


async def test_more_voices_than_are_taken_are_refused(sessions, user_id, clusterer):
    await recorded(sessions, user_id, [0, 0, 0])
    with pytest.raises(TaskFailed, match="3 voices") as refused:
        await grouped(sessions, user_id, clusterer, VoiceSettings(max_clustered_voices=2))
    assert refused.value.error_type == "too_many_voices"


async def test_one_at_a_time(sessions, user_id):
    async with session_scope(sessions) as session:
        await grouping.submit(session, user_id)
    with pytest.raises(SpeakerRefused):
        async with session_scope(sessions) as session:
            await grouping.submit(session, user_id)
    other = await somebody(sessions)
    async with session_scope(sessions) as session:
        await grouping.submit(session, other)


async def test_two_who_ask_at_once_get_one(sessions, user_id):
    async def ask() -> None:
        async with session_scope(sessions) as session:
            await grouping.submit(session, user_id)

    answers = await asyncio.gather(*(ask() for _ in range(5)), return_exceptions=True)

    assert [type(one) for one in answers].count(SpeakerRefused) == 4


class TestMeanwhile:
    """What a person decides while the engine is at work holds."""

    @pytest.fixture
    async def gate(self, clusterer) -> Gate:
        return Gate(clusterer)

    @pytest.fixture
    async def voices(self, sessions, user_id) -> list[uuid.UUID]:
        return await recorded(sessions, user_id, [0, 0, 0, 1, 1])

    @pytest.fixture
    async def work(self, sessions, user_id, gate, voices):
        task = await claimed(sessions, user_id)
        work = asyncio.create_task(GroupingWork(task, sessions, gate, VoiceSettings()).run())
        await gate.reached.wait()
        yield work
        work.cancel()

    async def test_whoever_got_a_name_is_left_out(self, sessions, gate, voices, work):
        await change(sessions, voices[0], display_name="Ada")
        gate.open.set()
        await work
        found = await places(sessions, voices)
        assert found[0] is None
        assert found[1] == found[2] is not None

    async def test_whose_file_was_deleted(self, sessions, gate, voices, work):
        async with session_scope(sessions) as session:
            speaker = await session.get_one(Speaker, voices[3])
            await session.delete(await session.get_one(MediaFile, speaker.media_file_id))
        gate.open.set()
        await work
        # Nobody is left to be together with.
        assert await places(sessions, voices[4:]) == [None]

    async def test_who_was_kept_apart(self, sessions, user_id, gate, voices, work):
        async with session_scope(sessions) as session:
            await speakers.serialise(session, user_id)
            await cluster_voices.keep_apart(session, voices[:1], voices[1:3])
        gate.open.set()
        await work
        found = await places(sessions, voices[:3])
        async with session_scope(sessions) as session:
            pairs = (await session.execute(select(CannotLink.first_id, CannotLink.second_id))).all()
        by_id = dict(zip(voices, found, strict=False))
        assert pairs
        assert all(by_id[a] is None or by_id[a] != by_id[b] for a, b in pairs)

    async def test_what_a_person_keeps_together(self, sessions, user_id, gate, voices, work):
        kept = await clustered(sessions, user_id, [voices[0], voices[3]], kept=True)
        gate.open.set()
        await work
        found = await places(sessions, voices)
        assert found[0] == found[3] == kept
        assert found[1] == found[2] is not None
        assert found[4] is None

    async def test_a_cancelled_one_stores_nothing(self, sessions, gate, voices, work):
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.scalar(select(Task)))
        gate.open.set()
        with pytest.raises(IllegalTransition):
            await work
        assert set(await places(sessions, voices)) == {None}

    async def test_nor_does_one_that_somebody_else_has(self, sessions, user_id, gate, voices, work):
        async with session_scope(sessions) as session:
            await session.execute(update(Task).values(fence=Task.fence + 1))
        gate.open.set()
        with pytest.raises(FenceLost):
            await work
        assert not await clusters_of(sessions, user_id)


async def test_a_split_at_the_same_time_as_the_end(sessions, user_id, clusterer):
    """Whoever comes first, every voice is in a cluster that is there, of which it is told."""
    voices = await recorded(sessions, user_id, [0] * 6)
    await grouped(sessions, user_id, clusterer)
    [cluster_id, *_] = await places(sessions, voices)
    task = await claimed(sessions, user_id)

    async def split() -> None:
        async with session_scope(sessions) as session:
            await cluster_edits.split(session, user_id, cluster_id, voices[:3])

    work = GroupingWork(task, sessions, clusterer, VoiceSettings())
    await asyncio.gather(work.run(), split())

    found = await places(sessions, voices)
    there = await clusters_of(sessions, user_id)
    assert set(found) == set(there)
    assert found[:3] == [found[0]] * 3
    assert found[3:] == [cluster_id] * 3
    assert all(row.kept for row in there.values())


async def test_through_the_runner_and_its_end_is_an_event(sessions, user_id, parts):
    voices = await recorded(sessions, user_id, [0, 0, 1])
    async with session_scope(sessions) as session:
        task = await grouping.submit(session, user_id)
    async with running(parts):
        task = await until(sessions, task.id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    found = await places(sessions, voices)
    assert found[0] == found[1] is not None
    async with session_scope(sessions) as session:
        told = list(await session.scalars(select(TaskEvent).order_by(TaskEvent.sequence)))
    assert told[-1].payload["task_state"] == "completed"
    assert told[-1].payload["kind"] == TaskKind.clustering


async def test_cancelled_while_the_engine_is_at_work(sessions, user_id, parts, clusterer):
    voices = await recorded(sessions, user_id, [0, 0])
    gate = Gate(clusterer)
    async with session_scope(sessions) as session:
        task = await grouping.submit(session, user_id)
    async with running(with_parts(parts, clusterer=gate)):
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, task.id))
        task = await until(sessions, task.id, ended)
    assert task.state is TaskState.cancelled
    assert await places(sessions, voices) == [None, None]
    async with session_scope(sessions) as session:
        await grouping.submit(session, user_id)


async def test_what_was_planned_is_planned_anew_only_where_things_have_changed(
    sessions, user_id, clusterer
):
    voices = await recorded(sessions, user_id, [0, 0, 0])

    async def fetch(last: Voice | None) -> Sequence[Voice]:
        async with session_scope(sessions) as session:
            mine = cluster_voices.free(user_id, "fake")
            return await cluster_voices.read(session, mine, last, READ_AT_A_TIME)

    found = await library.collect(fetch)
    groups = np.zeros(3, dtype=np.int32)

    async def plan(before: grouping.Plan | None = None) -> grouping.Plan:
        async with session_scope(sessions) as session:
            return await grouping.planned(session, user_id, "fake", found, groups, before)

    first = await plan()
    assert await plan(first) is first
    await change(sessions, voices[0], display_name="Ada")
    named = await plan(first)
    assert voices[0] not in {speaker_id for speaker_id, _ in named.arrangement.moved}
    async with session_scope(sessions) as session:
        await speakers.serialise(session, user_id)
        await cluster_voices.keep_apart(session, voices[1:2], voices[2:])
    assert (await plan(named)).arrangement.outcome.clusters == 0
