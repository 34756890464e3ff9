"""Which database a command means: DATABASE_URL, or the running installation's."""

from pathlib import Path

import typer

from cluster.embedded.installation import Installation
from rayscribe.context import Exit, complain, settings_with


def database_url(data_dir: Path | None) -> str:
    """The URL; ends the command with one line where none is known."""
    settings = settings_with(RAYSCRIBE_DATA_DIR=data_dir)
    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    directory = settings.paths.data_dir.resolve()
    installation = Installation(directory)
    if "postgres" not in installation.addresses():
        complain(f"nothing runs on {directory}: start it with `rayscribe up`, or set DATABASE_URL")
        raise typer.Exit(Exit.failed)
    return installation.environment()["DATABASE_URL"]
