"""One attempt at bringing one file to the stores of search, whatever they have of it."""

import asyncio
from dataclasses import dataclass

from db.engine import session_scope
from db.models import MediaFile
from pipelines import queue, task_state
from pipelines.job import Job
from pipelines.progress import reported
from pipelines.search import keeping
from pipelines.search.keeping import Keeper
from pipelines.search.keywords import KeywordKeeper
from pipelines.search.vectors import PassageKeeper

WORDS, MEANING = "index_words", "index_meaning"
SHARE = {WORDS: 0.2, MEANING: 0.8}
"""Each stage's share of the progress."""
BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class FileIndexing:
    """A claimed task about what search has of a file."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task.

        Raises:
            StoreUnavailable: a store, or the model of text embeddings, is away.
            FenceLost: somebody else has the task, or it was cancelled.
        """
        parts = self.job.parts
        async with session_scope(parts.sessions) as session:
            file = await session.get_one(MediaFile, self.job.task.media_file_id)
        words = KeywordKeeper(parts.sessions, parts.keywords, parts.search)
        meaning = PassageKeeper(
            parts.sessions, parts.vectors, parts.ports.text_embedder, parts.search
        )
        async with reported(parts.sessions, self.job.held, SHARE) as meter:
            await _kept(words, file)
            meter(WORDS, 1, 1)
            await _kept(meaning, file)
            meter(MEANING, 1, 1)
        async with session_scope(parts.sessions) as session:
            task = await queue.held_task(session, self.job.held, lock=False)
            await queue.complete(session, task, task_state.on_success(task))


async def _kept(keeper: Keeper, file: MediaFile) -> None:
    """Bring a store to what the rows say, after whoever else is at it."""
    while True:
        if await keeping.keep_file(keeper, file.id, file.user_id):
            return
        await asyncio.sleep(BUSY_SECONDS)
