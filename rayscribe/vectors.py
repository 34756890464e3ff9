"""`rayscribe vectors`: whether the vector store has what the rows say, and how it gets it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.table import Table

from cluster.settings import Settings
from db.engine import Sessions, create_engine, create_sessions
from db.errors import StoreError
from db.vectors.create import create_vector_store
from db.vectors.port import VectorStore
from pipelines.speakers import resync
from pipelines.speakers.resync import Comparison
from rayscribe.context import DataDir, Exit, complain, console, settings_with
from rayscribe.database import database_url


class Action(StrEnum):
    """What `rayscribe vectors` is to do."""

    check = "check"
    resync = "resync"


def vectors(
    action: Annotated[
        Action,
        typer.Argument(
            help="check: compare the store with the rows, exit status 1 where they differ. "
            "resync: remove what no row stands for, and have runners store everything anew."
        ),
    ],
    data_dir: DataDir = None,
) -> None:
    """Compare the vector store with PostgreSQL, or fill it from there; the service may run."""
    settings = settings_with(RAYSCRIBE_DATA_DIR=data_dir)
    work = _check if action is Action.check else _resync
    try:
        equal = asyncio.run(work(settings, data_dir))
    except (StoreError, ValueError) as error:
        complain(str(error))
        raise typer.Exit(Exit.failed) from error
    raise typer.Exit(Exit.ok if equal else Exit.failed)


@asynccontextmanager
async def _opened(
    settings: Settings, data_dir: Path | None
) -> AsyncIterator[tuple[Sessions, VectorStore]]:
    url = SecretStr(database_url(data_dir))
    engine = create_engine(settings.database.model_copy(update={"url": url}))
    try:
        sessions = create_sessions(engine)
        store = create_vector_store(settings.search, sessions)
        try:
            await store.ready()
            yield sessions, store
        finally:
            await store.close()
    finally:
        await engine.dispose()


async def _check(settings: Settings, data_dir: Path | None) -> bool:
    async with _opened(settings, data_dir) as (sessions, store):
        found = await resync.compare(sessions, store, settings.voices)
        console.print(_table(store.adapter, found))
    equal = all(one.equal for one in found.values())
    if not equal:
        complain("the store differs from the rows; `rayscribe vectors resync` mends it")
    return equal


async def _resync(settings: Settings, data_dir: Path | None) -> bool:
    async with _opened(settings, data_dir) as (sessions, store):
        removed = await resync.remove_orphans(sessions, store, settings.voices)
        noted = await resync.note_all(sessions)
    console.print(
        f"{store.adapter}: {removed} points removed, {noted} files and profiles noted; "
        "runners store them, `rayscribe vectors check` says when all are there",
        highlight=False,
    )
    return True


def _table(adapter: str, found: Mapping[str, Comparison]) -> Table:
    table = Table(box=None)
    table.add_column(f"space of {adapter}", overflow="fold")
    for heading in ("voiceprints", "points", "missing", "orphaned"):
        table.add_column(heading, justify="right", no_wrap=True)
    for space, one in found.items():
        numbers = (one.rows, one.points, one.missing, one.orphaned)
        table.add_row(space, *map(str, numbers))
    return table
