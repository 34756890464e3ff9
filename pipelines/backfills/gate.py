"""Holds a backfill back while users wait, never for long: under any load it goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import structlog

from cluster.settings import BackfillSettings, YieldTo
from db.engine import Sessions, session_scope
from db.errors import StoreUnavailable
from db.models import BackfillStage, Lane, TaskKind, TaskState
from db.queries import backfills
from db.queries.tasks import ACTIVE
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.slots import FairSlots

log = structlog.get_logger(__name__)

APART = LANGUAGE | {TaskKind.download, TaskKind.playlist, TaskKind.backfill}
"""Kinds that take nothing from the models of speech."""


class Gate:
    """Open unless users wait; one for all that an actor does."""

    def __init__(
        self, sessions: Sessions, settings: BackfillSettings, stage: BackfillStage
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        summaries = stage is BackfillStage.resummarize
        self._kinds = LANGUAGE if summaries else frozenset(TaskKind) - APART
        waits = settings.yield_to is YieldTo.waiting
        self._states = (TaskState.queued,) if waits else ACTIVE
        self._open = asyncio.Event()
        self._open.set()
        self.held_back_seconds = 0.0

    async def passed(self) -> None:
        """Wait until nobody waits, or for as long as one holds back at most."""
        if self._open.is_set():
            return
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.longest_yield_seconds):
                await self._open.wait()
        except TimeoutError:
            pass
        self.held_back_seconds += time.monotonic() - started

    async def watch(self) -> None:
        """Look from time to time, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._settings.yield_seconds)

    async def look(self) -> None:
        """Open or close it as things are; while the store is away it stays as it is."""
        try:
            async with session_scope(self._sessions) as session:
                busy = await backfills.users_wait(session, self._kinds, self._states)
        except StoreUnavailable as error:
            log.warning("not known whether users wait", error=str(error))
            return
        if busy:
            self._open.clear()
        else:
            self._open.set()


class YieldingSlots(FairSlots):
    """Places behind a gate: what is under way holds back between two windows too."""

    def __init__(self, places: int, lane_patience: int, gate: Gate) -> None:
        super().__init__(places, lane_patience)
        self._gate = gate

    @asynccontextmanager
    async def take(self, who: Hashable, lane: Lane, work: Hashable = None) -> AsyncIterator[None]:
        """Hold a place while the block runs."""
        await self._gate.passed()
        async with super().take(who, lane, work):
            yield
