"""`rayscribe reset`: delete an installation's data, after asking."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.installation import Installation
from cluster.embedded.ray_head import temporary_directory
from cluster.embedded.state import LOCK, locked
from rayscribe.context import DataDir, Exit, console, data_dir_of, one_line_errors


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Delete the database, all recordings, credentials and logs of this installation."""
    directory = data_dir_of(data_dir)
    with one_line_errors():
        if not (directory / LOCK).exists():
            raise EmbeddedError(f"{directory} is no data directory of rayscribe")
        with locked(directory):
            if not yes and not typer.confirm(f"Delete everything in {directory}?"):
                raise typer.Exit(Exit.failed)
            delete(directory)
    console.print("deleted")


def delete(directory: Path) -> None:
    """Delete what is kept in the data directory and Ray's folder; the caller holds the lock."""
    installation = Installation(directory)
    installation.end_leftovers()
    shutil.rmtree(temporary_directory(installation.instance), ignore_errors=True)
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()
    (directory / LOCK).unlink()
