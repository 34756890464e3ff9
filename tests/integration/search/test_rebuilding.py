"""Both stores are made anew or mended by tasks, while people search and change things."""

import asyncio
import os
import subprocess
import sys
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import delete, select, text, update

from db.engine import session_scope
from db.errors import StoreUnavailable
from db.keywords.port import KeywordQuery
from db.models import (
    Destination,
    IndexedFile,
    MediaFile,
    OutboxEntry,
    Role,
    Speaker,
    Task,
    TaskKind,
    TaskState,
    Transcript,
    User,
)
from db.vectors.port import FILE
from pipelines import queue
from pipelines.errors import TaskActive
from pipelines.search import comparing, rebuilding, requests
from pipelines.search.comparing import Difference
from pipelines.search.notes import note_files
from pipelines.search.places import LIVE, NEXT
from pipelines.search.requests import Action
from serving.inprocess import InProcessTextEmbedder
from tests.fixtures.indexed import (
    done,
    equal,
    forget_notes,
    meaning,
    points,
    tables,
    words,
)
from tests.fixtures.runner import accept, ended, get, running, until
from tests.fixtures.searchable import bring, spoken
from tests.fixtures.speech import sample
from tests.fixtures.voiceprints import add_user, due_now

TALK = [
    ("Ada", "We plan the harvest of apples near the river this year."),
    ("SPEAKER_01", "How many baskets do we need for that?"),
    ("Ada", " ".join(f"Basket number {n} goes to the market." for n in range(6))),
]
FILES = 8
STORE = {Destination.keywords: "keywords", Destination.passages: "vectors"}


@pytest.fixture
def parts(parts, stores):
    """A runner's, with the stores, the embedder and the cutting of these tests."""
    return replace(
        parts,
        keywords=stores.keywords,
        vectors=stores.vectors,
        ports=replace(parts.ports, text_embedder=stores.embedder),
        search=stores.settings,
    )


@pytest.fixture
async def owner(sessions) -> uuid.UUID:
    return await add_user(sessions)


@pytest.fixture
async def filled(sessions, stores, owner) -> list[uuid.UUID]:
    """Files that both stores have."""
    made = [await spoken(sessions, owner, TALK, title=f"Talk {n}") for n in range(FILES)]
    await bring(stores)
    return made


async def asked(sessions, owner: uuid.UUID, action: Action) -> uuid.UUID:
    async with session_scope(sessions) as session:
        return (await requests.submit(session, owner, action)).id


async def compared(stores) -> tuple[Difference, Difference]:
    keeper = meaning(stores)
    place = keeper.place(await keeper.space())
    return (
        await comparing.keywords(stores.sessions, stores.keywords, words(stores).place(LIVE)),
        await comparing.passages(stores.sessions, stores.vectors, place),
    )


async def damage(stores, owner: uuid.UUID, ids: list[uuid.UUID]) -> None:
    """Take away, in both stores, what two files have; leave a part of a third."""
    [space] = await stores.vectors.spaces()
    for file_id in ids[:2]:
        await stores.keywords.delete(LIVE, owner, file_id)
        await stores.vectors.delete(space, owner, matching={FILE: [str(file_id)]})
    mine = [one async for one in stores.vectors.ids(space, matching={FILE: [str(ids[2])]})]
    await stores.vectors.remove(space, mine[:1])
    await stores.keywords.delete(LIVE, owner, ids[2], keep=mine[1:])


async def lost(sessions, gone: uuid.UUID) -> None:
    """A file goes, and no store is told."""
    async with session_scope(sessions) as session:
        await session.execute(delete(MediaFile).where(MediaFile.id == gone))


async def test_stores_that_follow_the_rows_are_equal(stores, filled):
    for one in await compared(stores):
        assert one.equal
        assert (one.files, one.missing, one.different, one.orphaned) == (FILES, [], [], [])
        assert one.stored == one.passages > FILES


async def test_differences_are_counted_and_a_repair_mends_them(
    sessions, stores, parts, owner, filled
):
    await damage(stores, owner, filled)
    await lost(sessions, filled[3])
    for one in await compared(stores):
        assert not one.equal
        assert sorted(one.different) == sorted(filled[:3])
        assert one.orphaned == [filled[3]]
    task = await done(parts, await asked(sessions, owner, Action.repair))
    assert task.result == {
        "keyword_files": 3,
        "passage_files": 3,
        "keyword_files_removed": 1,
        "passage_files_removed": 1,
    }
    assert all(one.equal for one in await compared(stores))
    await equal(stores)


async def test_a_repair_of_nothing_writes_nothing(sessions, stores, parts, owner, filled):
    before = await tables(sessions, LIVE)
    task = await done(parts, await asked(sessions, owner, Action.repair))
    assert set(task.result.values()) == {0}
    assert await tables(sessions, LIVE) == before


async def test_a_lost_store_is_filled_by_a_repair(sessions, stores, parts, owner, filled):
    [space] = await stores.vectors.spaces()
    await stores.vectors.drop(space)
    await stores.keywords.drop(LIVE)
    task = await done(parts, await asked(sessions, owner, Action.repair))
    assert (task.result["keyword_files"], task.result["passage_files"]) == (FILES, FILES)
    await equal(stores)


async def test_a_reindex_makes_everything_anew(sessions, stores, parts, owner, filled):
    await damage(stores, owner, filled)
    await lost(sessions, filled[3])
    async with session_scope(sessions) as session:
        # As if somebody had written into the store by hand.
        await session.execute(text("DELETE FROM outbox"))
    task = await done(parts, await asked(sessions, owner, Action.reindex))
    assert task.result == {"keyword_files": FILES - 1, "passage_files": FILES - 1}
    assert await stores.keywords.indexes() == [LIVE]
    assert all(one.equal for one in await compared(stores))
    await equal(stores)


async def test_passages_that_are_cut_otherwise_are_others(sessions, stores, parts, owner, filled):
    before = set(await points(stores))
    wider = replace(stores, settings=stores.settings.model_copy(update={"passage_words": 1000}))
    assert [len(one.missing) for one in await compared(wider)] == [FILES, FILES]
    changed = replace(parts, search=wider.settings)
    await done(changed, await asked(sessions, owner, Action.reindex))
    assert not before & set(await points(wider))
    assert all(one.equal for one in await compared(wider))
    await equal(wider)


async def test_another_model_has_a_space_of_its_own_and_the_old_one_goes(
    sessions, stores, parts, owner, filled
):
    [old] = await stores.vectors.spaces()
    engine = stores.embedder._engine
    newer = replace(stores, embedder=InProcessTextEmbedder(engine, "newer"))
    changed = replace(parts, ports=replace(parts.ports, text_embedder=newer.embedder))
    task = await done(changed, await asked(sessions, owner, Action.reindex))
    assert task.result["passage_files"] == FILES
    [space] = await stores.vectors.spaces()
    assert space != old
    await equal(newer)
    async with session_scope(sessions) as session:
        places = await session.scalars(
            select(IndexedFile.place)
            .where(IndexedFile.destination == Destination.passages)
            .distinct()
        )
        assert [place.split(":")[1] for place in places] == [space]


async def test_searches_see_the_one_index_or_the_other(sessions, stores, parts, owner, filled):
    """Every search during a re-index finds all files."""
    seen: list[int] = []
    task_id = await asked(sessions, owner, Action.reindex)

    async def look() -> None:
        while not ended(await get(sessions, task_id)):
            hits = await stores.keywords.search(
                LIVE, owner, KeywordQuery(words=("harvest",)), limit=1000
            )
            seen.append(len({hit.media_file_id for hit in hits}))

    async with running(parts):
        await asyncio.gather(look(), until(sessions, task_id, ended))
    assert set(seen) == {FILES}


async def test_changes_during_a_reindex_are_in_the_new_index(
    sessions, stores, parts, owner, filled
):
    task_id = await asked(sessions, owner, Action.reindex)

    async def change() -> None:
        for number, file_id in enumerate(filled[:4]):
            async with session_scope(sessions) as session:
                await session.execute(
                    update(Speaker)
                    .where(Speaker.media_file_id == file_id, Speaker.display_name.is_not(None))
                    .values(display_name=f"Person {number}")
                )
                await session.execute(
                    update(Transcript)
                    .where(Transcript.media_file_id == file_id)
                    .values(version=Transcript.version + 1)
                )
                await note_files(session, owner, [file_id], spoken=True)
            await spoken(sessions, owner, TALK)
            await asyncio.sleep(0.02)
        await lost(sessions, filled[-1])
        async with session_scope(sessions) as session:
            await note_files(session, owner, [filled[-1]], spoken=True)

    async with running(parts):
        await change()
        await until(sessions, task_id, ended)
    # Also what the runner had taken when it was stopped.
    await due_now(sessions)
    await bring(stores)
    assert (await get(sessions, task_id)).state is TaskState.completed
    assert await stores.keywords.indexes() == [LIVE]
    await equal(stores)


class Dying:
    """A keyword store that goes away at the n-th call of a method: a fault, not a stand-in."""

    def __init__(self, inner, method: str, at: int, error: BaseException, times: int = 1) -> None:
        self._inner, self._method, self._error = inner, method, error
        self._from, self._to = at, at + times
        self.calls = 0

    def revive(self) -> None:
        """It is there again."""
        self._to = self._from

    def __getattr__(self, name: str):
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        async def call(*arguments, **more):
            self.calls += 1
            if self._from <= self.calls < self._to:
                raise self._error
            return await found(*arguments, **more)

        return call


class Killed(BaseException):
    """What ends an attempt without a word."""


async def attempt(parts, task_id: uuid.UUID) -> Task:
    """One attempt at a task, whose end is not written down if it is killed."""
    async with session_scope(parts.sessions) as session:
        claimed = await queue.claim(session, "test", parts.settings)
        assert claimed is not None
        assert claimed.task.id == task_id
    from pipelines.attempt import Attempt
    from pipelines.job import Shared

    shared = Shared.of(parts)
    work = Attempt(parts, claimed.task, shared)
    await rebuilding.Rebuilding(work._job).run()
    return await get(parts.sessions, task_id)


async def abandon(sessions, task_id: uuid.UUID) -> None:
    """The lease of a runner that is gone ends."""
    async with session_scope(sessions) as session:
        await session.execute(
            update(Task).where(Task.id == task_id).values(lease_expires_at=text("now()"))
        )


@pytest.mark.parametrize(
    ("method", "at"),
    [("upsert", 1), ("upsert", 5), ("ensure", 1), ("ensure", 2), ("swap", 1), ("drop", 2)],
)
async def test_who_dies_anywhere_is_followed_by_one_who_ends_it(
    sessions, stores, parts, owner, filled, method, at
):
    task_id = await asked(sessions, owner, Action.reindex)
    dying = replace(parts, keywords=Dying(stores.keywords, method, at, Killed()))
    with pytest.raises(BaseException) as died:
        await attempt(dying, task_id)
    assert died.type is Killed or died.group_contains(Killed)
    # Meanwhile things change, and are told to whatever index is there.
    async with session_scope(sessions) as session:
        await session.execute(update(MediaFile).values(title="Another title"))
        await note_files(session, owner, filled, spoken=False)
    await bring(stores)
    await abandon(sessions, task_id)
    assert (await attempt(parts, task_id)).state is TaskState.completed
    assert await stores.keywords.indexes() == [LIVE]
    assert all(one.equal for one in await compared(stores))
    await equal(stores)


async def test_what_is_done_is_not_done_again(sessions, stores, parts, owner, filled):
    task_id = await asked(sessions, owner, Action.reindex)
    first = Dying(stores.keywords, "upsert", FILES - 2, Killed())
    one_by_one = stores.settings.model_copy(update={"files_at_a_time": 1})
    with pytest.raises(BaseException) as died:
        await attempt(replace(parts, keywords=first, search=one_by_one), task_id)
    assert died.type is Killed or died.group_contains(Killed)
    await abandon(sessions, task_id)
    counting = Dying(stores.keywords, "upsert", 1_000_000, Killed())
    await attempt(replace(parts, keywords=counting), task_id)
    assert counting.calls == FILES - (FILES - 3)
    await equal(stores)


async def test_an_outage_is_waited_out(sessions, stores, parts, owner, filled, monkeypatch):
    monkeypatch.setattr(rebuilding, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(rebuilding, "LONGEST_PAUSE", 0.02)
    away = StoreUnavailable("keyword store: connection refused")
    flaky = Dying(stores.keywords, "upsert", 3, away, times=6)
    task = await done(replace(parts, keywords=flaky), await asked(sessions, owner, Action.reindex))
    assert task.attempt == 1
    await equal(stores)


@pytest.mark.parametrize("method", ["swap", "drop"])
async def test_an_exchange_whose_answer_is_lost_never_brings_back_the_old_index(
    sessions, stores, parts, owner, filled, method
):
    """The store does it, and nobody hears of it."""

    class Mute(Dying):
        def __getattr__(self, name: str):
            found = getattr(self._inner, name)
            if name != self._method:
                return found

            async def call(*arguments, **more):
                self.calls += 1
                answer = await found(*arguments, **more)
                if self.calls == self._from:
                    raise self._error
                return answer

            return call

    await damage(stores, owner, filled)
    await forget_notes(sessions)
    away = StoreUnavailable("keyword store: no answer")
    mute = Mute(stores.keywords, method, 2 if method == "drop" else 1, away)
    await done(replace(parts, keywords=mute), await asked(sessions, owner, Action.reindex))
    assert await stores.keywords.indexes() == [LIVE]
    await equal(stores)


async def test_an_outage_that_is_too_long_ends_the_attempt(sessions, stores, parts, owner, filled):
    away = StoreUnavailable("keyword store: connection refused")
    gone = Dying(stores.keywords, "upsert", 1, away, times=1_000_000)
    impatient = stores.settings.model_copy(update={"outage_seconds": 0.1})
    task_id = await asked(sessions, owner, Action.reindex)
    broken = replace(parts, keywords=gone, search=impatient)
    async with running(broken):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "store_unavailable")
    # What it leaves is removed by whoever has time, and search went on meanwhile.
    assert NEXT in await stores.keywords.indexes()
    await rebuilding.drop_abandoned(words(stores))
    assert await stores.keywords.indexes() == [LIVE]
    await equal(stores)


async def test_a_stopped_one_leaves_what_is_searched_as_it_was(
    sessions, stores, parts, owner, filled
):
    before = await tables(sessions, LIVE)
    slow = Dying(stores.keywords, "upsert", 0, Killed(), times=0)
    task_id = await asked(sessions, owner, Action.reindex)
    held = asyncio.Event()

    class Holding(Dying):
        def __getattr__(self, name: str):
            found = getattr(self._inner, name)
            if name != "upsert":
                return found

            async def call(*_):
                held.set()
                await asyncio.sleep(3600)

            return call

    holding = Holding(slow, "upsert", 0, Killed())
    async with running(replace(parts, keywords=holding)):
        await held.wait()
        async with session_scope(sessions) as session:
            task = await requests.stop(session)
            assert task is not None
            assert task.id == task_id
        await until(sessions, task_id, ended)
    assert (await get(sessions, task_id)).state is TaskState.cancelled
    await rebuilding.drop_abandoned(words(stores))
    assert await stores.keywords.indexes() == [LIVE]
    assert await tables(sessions, LIVE) == before


async def test_an_index_that_is_being_filled_is_not_abandoned(sessions, stores, owner, filled):
    await asked(sessions, owner, Action.reindex)
    await stores.keywords.ensure(NEXT)
    await rebuilding.drop_abandoned(words(stores))
    assert NEXT in await stores.keywords.indexes()


async def test_one_at_a_time(sessions, owner):
    first = await asked(sessions, owner, Action.reindex)
    with pytest.raises(TaskActive) as refused:
        await asked(sessions, owner, Action.repair)
    assert refused.value.task_id == first
    async with session_scope(sessions) as session:
        assert (await requests.active(session)).id == first
        stopped = await requests.stop(session)
        assert (stopped.id, stopped.state) == (first, TaskState.cancelled)
        assert await requests.stop(session) is None
    second = await asked(sessions, owner, Action.repair)
    async with session_scope(sessions) as session:
        latest = await requests.latest(session)
        assert (latest.id, latest.kind) == (second, TaskKind.search_index)


async def told(sessions, destination: Destination) -> list[OutboxEntry]:
    """What a store is still to be told."""
    async with session_scope(sessions) as session:
        query = select(OutboxEntry).where(OutboxEntry.destination == destination)
        return list(await session.scalars(query.order_by(OutboxEntry.subject)))


async def untold(sessions, destination: Destination) -> None:
    async with asyncio.timeout(60):
        while await told(sessions, destination):
            await asyncio.sleep(0.05)


async def test_a_recording_that_becomes_a_transcript_is_found(sessions, objects, stores, parts):
    task_id = await accept(sessions, objects, sample())
    async with running(parts):
        task = await until(sessions, task_id, ended)
        assert task.state is TaskState.completed
        for destination in STORE:
            await untold(sessions, destination)
    assert {payload[FILE] for payload in (await points(stores)).values()} == {
        str(task.media_file_id)
    }
    await equal(stores)


@pytest.mark.parametrize("away", [Destination.keywords, Destination.passages])
async def test_a_store_that_dies_delays_what_it_is_told_and_nothing_else(
    sessions, stores, parts, owner, away
):
    """Both are told of files by a runner; one dies in the middle, and catches up."""
    gone = StoreUnavailable("nobody answers")
    dying = Dying(getattr(stores, STORE[away]), "upsert", 2, gone, times=1_000_000)
    quick = parts.maintenance.model_copy(update={"outbox_retry_seconds": 0.05})
    other = ({*STORE} - {away}).pop()
    for _ in range(4):
        await spoken(sessions, owner, TALK)
    async with running(replace(parts, maintenance=quick, **{STORE[away]: dying})):
        await untold(sessions, other)
        async with asyncio.timeout(60):
            while not all(entry.failures for entry in await told(sessions, away)):
                await asyncio.sleep(0.05)
        left = await told(sessions, away)
        assert len(left) == 3
        assert {entry.last_error for entry in left} == {"nobody answers"}
        dying.revive()
        await untold(sessions, away)
    await equal(stores)


class TestCommand:
    def run(self, database_url: str, *arguments: str, **more: str):
        return subprocess.run(
            [sys.executable, "-m", "rayscribe", "search", *arguments],
            env={
                **os.environ,
                "DATABASE_URL": database_url,
                "COLUMNS": "200",
                "RAYSCRIBE_SEARCH_PASSAGE_WORDS": "20",
                "RAYSCRIBE_SEARCH_PASSAGE_OVERLAP_WORDS": "5",
                **more,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    async def test_check_repair_and_check_again(
        self, sessions, stores, parts, owner, filled, database_url
    ):
        await damage(stores, owner, filled)
        first = self.run(database_url, "check")
        assert first.returncode == 1
        assert f"postgresql:{LIVE}:20/5" in first.stdout
        assert "`rayscribe search repair` mends it" in first.stderr
        async with session_scope(sessions) as session:
            await session.execute(update(User).values(role=Role.admin))
        assert self.run(database_url, "repair").returncode == 0
        assert "does this" in self.run(database_url, "reindex").stderr
        async with session_scope(sessions) as session:
            task = await requests.active(session)
        await done(parts, task.id)
        last = self.run(database_url, "check")
        assert (last.returncode, last.stderr) == (0, "")

    def test_a_store_that_is_away_is_said_in_one_line(self, database_url):
        found = self.run(
            database_url, "check", QDRANT_URL="http://127.0.0.1:1", RAYSCRIBE_VECTOR_RETRIES="0"
        )
        assert found.returncode == 1
        assert len(found.stderr.strip().splitlines()) == 1
