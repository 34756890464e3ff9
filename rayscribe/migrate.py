"""`rayscribe migrate`: bring the database's schema to this version."""

import asyncio
from typing import Annotated

import typer
from alembic import command

from db.migrations.run import current, run, upgrade
from rayscribe.context import DataDir, console
from rayscribe.database import database_url


def migrate(
    new: Annotated[
        str | None,
        typer.Option("--new", help="Write a revision from the models' difference instead."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Bring the schema to this version; `up` does it by itself."""
    url = database_url(data_dir)
    if new is not None:
        asyncio.run(
            run(url, lambda config: command.revision(config, message=new, autogenerate=True))
        )
        return
    before = asyncio.run(current(url))
    upgrade(url)
    after = asyncio.run(current(url))
    console.print(
        f"schema {after}" + (" (as it was)" if before == after else f" (was {before or 'empty'})")
    )
