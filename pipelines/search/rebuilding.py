"""Makes the stores of search anew, or mends them: one attempt at a task of this kind.

Nothing is remembered about it. What is still to be done follows from what was written down of each
file since the task was asked for, so that it goes on after whatever stopped it. The index of words
is filled beside the one that is searched, and takes its place at once; vectors that are right stay.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog

from db.engine import session_scope
from db.errors import StoreUnavailable
from db.models import Destination
from db.queries import indexing
from db.queries.indexing import Owned
from db.vectors.port import FILE
from pipelines import queue, task_state
from pipelines.job import Job
from pipelines.progress import ProgressMeter, reported
from pipelines.search import comparing, keeping, locks, requests
from pipelines.search.comparing import Difference
from pipelines.search.keeping import Keeper
from pipelines.search.keywords import KeywordKeeper
from pipelines.search.places import LIVE, NEXT
from pipelines.search.requests import ACTION, Action
from pipelines.search.vectors import PassageKeeper
from pipelines.stages.base import together

log = structlog.get_logger(__name__)

T = TypeVar("T")

WORDS, MEANING = "index_words", "index_meaning"
COMPARE, MEND_WORDS, MEND_MEANING = "compare", "mend_words", "mend_meaning"
SHARE = {
    Action.reindex: {WORDS: 0.2, MEANING: 0.8},
    Action.repair: {COMPARE: 0.2, MEND_WORDS: 0.2, MEND_MEANING: 0.6},
}
"""Each stage's share of the progress."""
BATCH = 100
"""Files that are looked up at a time."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries while a store is away."""


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A claimed task about the stores of search."""

    job: Job

    @property
    def words(self) -> KeywordKeeper:
        """Who writes to the keyword store."""
        parts = self.job.parts
        return KeywordKeeper(parts.sessions, parts.keywords, parts.search)

    @property
    def meaning(self) -> PassageKeeper:
        """Who writes to the vector store."""
        parts = self.job.parts
        return PassageKeeper(parts.sessions, parts.vectors, parts.ports.text_embedder, parts.search)

    async def run(self) -> None:
        """Do it, and complete the task.

        Raises:
            StoreUnavailable: a store, or the model of text embeddings, was away for too long.
            FenceLost: somebody else has the task, or it was cancelled.
        """
        action = Action(self.job.task.options[ACTION])
        sessions = self.job.parts.sessions
        async with reported(sessions, self.job.held, SHARE[action]) as meter:
            result = await (self._reindex if action is Action.reindex else self._repair)(meter)
        async with session_scope(sessions) as session:
            task = await queue.held_task(session, self.job.held, lock=False)
            await queue.complete(session, task, task_state.on_success(task), result=result)
        log.info("search index", action=action, **result)

    async def _reindex(self, meter: ProgressMeter) -> dict[str, Any]:
        since = self.job.task.created_at
        following = KeywordKeeper(
            self.words.sessions, self.words.store, self.words.settings, indexes=(NEXT,)
        )
        exchanged = False
        while not exchanged:
            await self._patiently(lambda: _begin(following, since))
            words = await self._fill(following, following.place(NEXT), since, meter, WORDS)
            exchanged = await self._patiently(self._exchange)
        space = await self._patiently(self.meaning.space)
        place = self.meaning.place(space)
        meaning = await self._fill(self.meaning, place, since, meter, MEANING)
        found = await self._patiently(lambda: self._compared_passages(place))
        await self._patiently(lambda: self._remove_passages(space.name, found.orphaned))
        await self._patiently(lambda: self._drop_others(place))
        return {"keyword_files": words, "passage_files": meaning}

    async def _fill(
        self, keeper: Keeper, place: str, since: datetime, meter: ProgressMeter, stage: str
    ) -> int:
        """Bring every file to a place that was not brought there since; how many it has."""
        while True:
            async with session_scope(keeper.sessions) as session:
                done, total = await indexing.progress(session, keeper.destination, place, since)
                files = await indexing.left(session, keeper.destination, place, BATCH, since)
            meter(stage, done, total)
            if not files:
                return done
            if not await self._keep(keeper, files):
                await asyncio.sleep(FIRST_PAUSE)

    async def _keep(self, keeper: Keeper, files: Sequence[Owned]) -> bool:
        """Bring files to a store; False: others are at work on all of them."""
        places = asyncio.Semaphore(keeper.settings.files_at_a_time)

        async def keep(file: Owned) -> bool:
            async with places:
                return await self._patiently(
                    lambda: keeping.keep_file(keeper, file.file_id, file.owner_id)
                )

        return any(await together(keep(file) for file in files))

    async def _exchange(self) -> bool:
        """Have the filled index searched; False: it has to be filled again.

        What is written down comes first. Whoever fails or dies before the exchange is over leaves
        an index of which nothing is written down, so that it is filled anew: nobody knows whether
        it is the new one or the old one.
        """
        words = self.words
        async with locks.exchanging(words.sessions):
            if NEXT not in await words.store.indexes():
                return False
            await words.store.ensure(LIVE)
            async with session_scope(words.sessions) as session:
                await queue.held_task(session, self.job.held)
                following = words.place(NEXT)
                done, total = await indexing.progress(session, words.destination, following)
                if total and not done:
                    return False
                await indexing.move(session, words.destination, following, words.place(LIVE))
            await words.store.swap(LIVE, NEXT)
            await words.store.drop(NEXT)
        return True

    async def _drop_others(self, place: str) -> None:
        """Remove passages of other models."""
        store = self.meaning.store
        for name in await comparing.other_spaces(store, place):
            await store.drop(name)
        async with session_scope(self.meaning.sessions) as session:
            await indexing.empty_but(session, Destination.passages, place)

    async def _repair(self, meter: ProgressMeter) -> dict[str, Any]:
        words = await self._patiently(self._compared_keywords)
        meter(COMPARE, 1, 2)
        space = await self._patiently(self.meaning.space)
        meaning = await self._patiently(lambda: self._compared_passages(self.meaning.place(space)))
        meter(COMPARE, 2, 2)
        await self._patiently(lambda: self._remove_keywords(words.orphaned))
        await self._patiently(lambda: self._remove_passages(space.name, meaning.orphaned))
        await self._mend(self.words, words.wanted, meter, MEND_WORDS)
        await self._mend(self.meaning, meaning.wanted, meter, MEND_MEANING)
        return {
            "keyword_files": len(words.wanted),
            "passage_files": len(meaning.wanted),
            "keyword_files_removed": len(words.orphaned),
            "passage_files_removed": len(meaning.orphaned),
        }

    async def _mend(
        self, keeper: Keeper, wanted: Sequence[uuid.UUID], meter: ProgressMeter, stage: str
    ) -> None:
        for start in range(0, len(wanted), BATCH):
            meter(stage, start, len(wanted))
            async with session_scope(keeper.sessions) as session:
                files = await indexing.owners(session, wanted[start : start + BATCH])
            await self._keep(keeper, files)
        meter(stage, 1, 1)

    async def _compared_keywords(self) -> Difference:
        words = self.words
        return await comparing.keywords(words.sessions, words.store, words.place(LIVE))

    async def _compared_passages(self, place: str) -> Difference:
        return await comparing.passages(self.meaning.sessions, self.meaning.store, place)

    async def _remove_keywords(self, orphaned: Sequence[uuid.UUID]) -> None:
        for start in range(0, len(orphaned), BATCH):
            await self.words.store.remove_files(LIVE, orphaned[start : start + BATCH])

    async def _remove_passages(self, space: str, orphaned: Sequence[uuid.UUID]) -> None:
        store = self.meaning.store
        for start in range(0, len(orphaned), BATCH):
            theirs = {FILE: [str(one) for one in orphaned[start : start + BATCH]]}
            await store.remove(space, [one async for one in store.ids(space, matching=theirs)])

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, and again while a store is away: an outage delays, and loses nothing."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self.job.parts.search.outage_seconds, FIRST_PAUSE
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                if loop.time() + pause > end:
                    raise
                log.warning("waiting for a store", error=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def _begin(keeper: KeywordKeeper, since: datetime) -> None:
    """Make the next index, or go on with the one that this task has begun."""
    place = keeper.place(NEXT)
    async with locks.exchanging(keeper.sessions):
        async with session_scope(keeper.sessions) as session:
            begun, _ = await indexing.progress(session, keeper.destination, place, since)
        if begun and NEXT in await keeper.store.indexes():
            return
        await _drop_next(keeper)
        await keeper.store.ensure(NEXT)


async def drop_abandoned(keeper: KeywordKeeper) -> None:
    """Remove the next index where no task will finish it: it would be written to for ever.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    if NEXT not in await keeper.store.indexes():
        return
    async with locks.exchanging(keeper.sessions):
        async with session_scope(keeper.sessions) as session:
            task = await requests.active(session)
        if task is None:
            await _drop_next(keeper)


async def _drop_next(keeper: KeywordKeeper) -> None:
    async with session_scope(keeper.sessions) as session:
        await indexing.empty(session, keeper.destination, keeper.place(NEXT))
    await keeper.store.drop(NEXT)
