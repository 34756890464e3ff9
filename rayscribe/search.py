"""`rayscribe search`: whether the stores of search have what the rows say, and how they get it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.table import Table

from cluster.settings import SearchSettings, Settings
from db.engine import Sessions, create_engine, create_sessions, session_scope
from db.errors import StoreError
from db.keywords.create import create_keyword_store
from db.keywords.port import KeywordStore
from db.models import Destination, Task
from db.queries import outbox, users
from db.vectors.create import create_vector_store
from db.vectors.port import Space, VectorStore
from pipelines.errors import TaskActive
from pipelines.search import comparing, requests
from pipelines.search.comparing import Difference
from pipelines.search.places import LIVE, keyword_place, passage_place
from rayscribe.context import DataDir, Exit, complain, console, settings_with
from rayscribe.database import database_url


class Action(StrEnum):
    """What `rayscribe search` is to do."""

    check = "check"
    reindex = "reindex"
    repair = "repair"


def search(
    action: Annotated[
        Action,
        typer.Argument(
            help="check: compare the stores with the rows, exit status 1 where they differ. "
            "reindex: have runners bring everything to both stores anew, while search goes on. "
            "repair: have them bring only what differs."
        ),
    ],
    data_dir: DataDir = None,
) -> None:
    """Compare the stores of search with PostgreSQL, or have them filled; the service may run."""
    settings = settings_with(RAYSCRIBE_DATA_DIR=data_dir)
    try:
        equal = asyncio.run(_do(action, settings, data_dir))
    except (StoreError, ValueError, TaskActive) as error:
        complain(str(error))
        raise typer.Exit(Exit.failed) from error
    raise typer.Exit(Exit.ok if equal else Exit.failed)


@dataclass(frozen=True, slots=True)
class _Stores:
    sessions: Sessions
    keywords: KeywordStore
    vectors: VectorStore
    settings: SearchSettings


async def _do(action: Action, settings: Settings, data_dir: Path | None) -> bool:
    async with _opened(settings, data_dir) as stores:
        if action is Action.check:
            return await _check(stores)
        task = await _submit(stores.sessions, requests.Action(action))
    console.print(
        f"task {task.id} is queued: runners do it; `GET /api/search/reindex/status` tells how far "
        "it is, `rayscribe search check` whether all is there",
        highlight=False,
    )
    return True


@asynccontextmanager
async def _opened(settings: Settings, data_dir: Path | None) -> AsyncIterator[_Stores]:
    url = SecretStr(database_url(data_dir))
    engine = create_engine(settings.database.model_copy(update={"url": url}))
    try:
        sessions = create_sessions(engine)
        vectors = create_vector_store(settings.search, sessions)
        keywords = create_keyword_store(settings.search, sessions)
        try:
            await keywords.ready()
            await vectors.ready()
            yield _Stores(sessions, keywords, vectors, settings.search)
        finally:
            await keywords.close()
            await vectors.close()
    finally:
        await engine.dispose()


async def _submit(sessions: Sessions, action: requests.Action) -> Task:
    async with session_scope(sessions) as session:
        admin = await users.first_admin(session)
        if admin is None:
            raise ValueError("no administrator has an account yet: there is nothing to index")
        return await requests.submit(session, admin.id, action)


async def _check(stores: _Stores) -> bool:
    found = await _compared(stores)
    console.print(_table(found))
    others = await comparing.other_spaces(
        stores.vectors, await comparing.latest_place(stores.sessions, Destination.passages)
    )
    if others:
        console.print(f"spaces of other models: {', '.join(others)}", highlight=False)
    async with session_scope(stores.sessions) as session:
        waiting = await outbox.waiting(session)
    for destination in (Destination.keywords, Destination.passages):
        if destination in waiting:
            count, age = waiting[destination]
            console.print(f"{destination}: {count} notes wait, since {age:.0f} s", highlight=False)
    equal = all(one.equal for one in found)
    if not equal:
        complain("the stores differ from the rows; `rayscribe search repair` mends it")
    return equal


async def _compared(stores: _Stores) -> Sequence[Difference]:
    sessions = stores.sessions
    words = keyword_place(stores.keywords, LIVE, stores.settings)
    found = [await comparing.keywords(sessions, stores.keywords, words)]
    # Which model embeds is known by what was embedded last.
    place = await comparing.latest_place(sessions, Destination.passages)
    nowhere = passage_place(stores.vectors, Space("passages", 0), stores.settings)
    return [*found, await comparing.passages(sessions, stores.vectors, place or nowhere)]


def _table(found: Sequence[Difference]) -> Table:
    table = Table(box=None)
    table.add_column("store", overflow="fold")
    headings = ("files", "passages", "stored", "missing", "different", "orphaned")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        lists = (one.missing, one.different, one.orphaned)
        numbers = (one.files, one.passages, one.stored, *map(len, lists))
        table.add_row(one.place, *map(str, numbers))
    return table
