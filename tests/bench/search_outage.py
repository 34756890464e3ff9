"""The keyword store killed while it is filled and asked: what is said of it, and when all is back.

`python -m tests.bench search_outage [--files 400] [--seconds 30]`: two embedded PostgreSQL servers,
one of the rows and vectors, one of the words, which is killed (SIGKILL to all its processes) when a
third of the files is in it and started again after some seconds; a third more comes in meanwhile.
Somebody searches all the time. Meaning is a bag of words, so that the embedder takes no time.
"""

import argparse
import asyncio
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from pydantic import SecretStr

from cluster.embedded.postgres import EmbeddedPostgres
from cluster.settings import DatabaseSettings, MaintenanceSettings, SearchSettings
from db.engine import Sessions, create_engine, create_sessions
from db.keywords.postgres import PostgresKeywordStore
from db.migrations.run import upgrade
from db.models import Destination
from db.vectors.pgvector import PgVectorStore
from pipelines import outbox
from pipelines.outbox import Handler
from pipelines.search.finding import find
from pipelines.search.found import Asked, Mode, SearchStores
from serving.engines.fake_text import FakeTextEmbedder
from serving.inprocess import InProcessTextEmbedder
from tests.bench.tables import table
from tests.fixtures.indexed import waiting
from tests.fixtures.searchable import handlers, spoken
from tests.fixtures.voiceprints import add_user

SENTENCE = "The harvest of apples near the river is planned for this year and the next."
SENTENCES = 60
"""Of each file: some ten passages."""
ASK_EVERY_SECONDS = 0.2


@dataclass
class Outage:
    """What was seen."""

    files: int
    seconds: float
    filled_per_second: float = 0.0
    """Files that both stores were told of, before."""
    waiting: int = 0
    """Notes for the killed store when it answered again."""
    caught_up_seconds: float = 0.0
    """From then until none was left."""
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """Of searches by phase: whole, degraded, refused."""
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    found: int = 0
    """Files that are found by a word of their own, at the end."""


def word(number: int) -> str:
    """A word that one file has."""
    return "zq" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:05}")


@asynccontextmanager
async def sessions_of(server: EmbeddedPostgres) -> AsyncIterator[Sessions]:
    """Of a server whose database is migrated."""
    await asyncio.to_thread(upgrade, server.url)
    engine = create_engine(DatabaseSettings(url=SecretStr(server.url)))
    yield create_sessions(engine)
    await engine.dispose()


def kill(server: EmbeddedPostgres) -> None:
    """SIGKILL to the server and all its processes."""
    assert server.child is not None
    parent = psutil.Process(server.child.process.pid)
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@dataclass
class Run:
    """One outage."""

    stores: SearchStores
    words: EmbeddedPostgres
    owner: uuid.UUID
    seen: Outage
    phase: str = "before"

    async def bring_in(self, numbers: Sequence[int]) -> None:
        """Files whose notes are still to be done."""
        for number in numbers:
            said = [("Ada", f"{word(number)} {SENTENCE}")] + [("Ada", SENTENCE)] * SENTENCES
            await spoken(self.stores.sessions, self.owner, said)

    async def keep(self) -> None:
        """What a runner does all the time; each store has a loop of its own."""
        settings = MaintenanceSettings()

        async def one(handler: Mapping[Destination, Handler]) -> None:
            while True:
                await outbox.drain(self.stores.sessions, handler, settings)
                await asyncio.sleep(settings.outbox_poll_seconds)

        await asyncio.gather(*(one({to: work}) for to, work in handlers(self.stores).items()))

    async def ask(self) -> None:
        """Search all the time."""
        while True:
            started = time.perf_counter()
            try:
                found = await find(Asked(user_id=self.owner, text="apples river"), self.stores)
                what = "degraded" if found.degraded else "whole"
            except Exception as error:  # noqa: BLE001
                what = type(error).__name__
            took = 1000 * (time.perf_counter() - started)
            self.seen.answers.setdefault(self.phase, Counter())[what] += 1
            self.seen.milliseconds.setdefault(self.phase, []).append(took)
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def left(self) -> int:
        """Notes for the keyword store."""
        return sum(to == "keywords" for to, _ in await waiting(self.stores.sessions))

    async def until_left(self, most: int) -> float:
        """Seconds until no more notes than these are left."""
        started = time.perf_counter()
        while await self.left() > most:
            await asyncio.sleep(0.05)
        return time.perf_counter() - started

    async def happen(self) -> None:
        """Fill, kill, go on, start again, catch up."""
        third = self.seen.files // 3
        await self.bring_in(range(2 * third))
        self.seen.filled_per_second = third / await self.until_left(third)
        kill(self.words)
        self.phase = "while it is away"
        away_until = time.perf_counter() + self.seen.seconds
        await self.bring_in(range(2 * third, self.seen.files))
        await asyncio.sleep(max(0.0, away_until - time.perf_counter()))
        await asyncio.to_thread(self.words.start)
        self.phase, self.seen.waiting = "afterwards", await self.left()
        self.seen.caught_up_seconds = await self.until_left(0)
        self.seen.found = sum([await self.finds(number) for number in range(self.seen.files)])

    async def finds(self, number: int) -> bool:
        """Whether a file, and only that, is found by its word."""
        asked = Asked(user_id=self.owner, text=f'"{word(number)}"', mode=Mode.keyword)
        return (await find(asked, self.stores)).total == 1


async def outage(folder: Path, files: int, seconds: float) -> Outage:
    """An outage of so many seconds, of an archive of so many files."""
    seen = Outage(files, seconds)
    settings = SearchSettings(qdrant_url=None, meili_url=None)
    with EmbeddedPostgres(folder / "rows") as rows, EmbeddedPostgres(folder / "words") as words:
        async with sessions_of(rows) as sessions, sessions_of(words) as others:
            embedder = InProcessTextEmbedder(FakeTextEmbedder(), "fake")
            stores = SearchStores(
                sessions,
                PostgresKeywordStore(others),
                PgVectorStore(sessions),
                embedder,
                settings,
            )
            run = Run(stores, words, await add_user(sessions), seen)
            async with asyncio.TaskGroup() as group:
                always = [group.create_task(run.keep()), group.create_task(run.ask())]
                await run.happen()
                for task in always:
                    task.cancel()
    return seen


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser("search_outage", description=__doc__)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=30.0, help="that the store is away")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        seen = asyncio.run(outage(Path(name), asked.files, asked.seconds))
    header = ["files", "told a second before", "away, s", "notes waiting then", "caught up, s"]
    row = [
        str(seen.files),
        f"{seen.filled_per_second:.1f}",
        f"{seen.seconds:.0f}",
        str(seen.waiting),
        f"{seen.caught_up_seconds:.1f}",
    ]
    print(table([*header, "found by a word of its own"], [[*row, str(seen.found)]]))
    rows = []
    for phase, took in seen.milliseconds.items():
        told = ", ".join(f"{what} {count}" for what, count in sorted(seen.answers[phase].items()))
        p50, p95 = np.percentile(took, (50, 95))
        rows.append([phase, str(len(took)), told, f"{p50:.0f}", f"{p95:.0f}"])
    print(f"\n{table(['searches', 'asked', 'answers', 'p50 ms', 'p95 ms'], rows)}")
