"""What every command shares: the console, settings with the command line's words, exit status."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from cluster.embedded.errors import EmbeddedError
from cluster.settings import Settings

console = Console()
errors = Console(stderr=True)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where everything is kept. [default: $RAYSCRIBE_DATA_DIR]"),
]


class Exit(IntEnum):
    """Exit status of every command."""

    ok = 0
    failed = 1
    usage = 2


def settings_with(**given: object) -> Settings:
    """Settings from the environment, and from the command line's options by variable name."""
    words = {name: str(value) for name, value in given.items() if value is not None}
    # Into the environment, so that children read the same.
    os.environ.update(words)
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            complain(f"{name}: {problem['msg']}")
        raise typer.Exit(Exit.usage) from error


def data_dir_of(given: Path | None) -> Path:
    """The data directory that a command is about."""
    return settings_with(RAYSCRIBE_DATA_DIR=given).paths.data_dir.resolve()


def complain(message: str) -> None:
    """One line on standard error."""
    errors.print(f"rayscribe: {message}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what an operator can mend into one line and exit status 1."""
    try:
        yield
    except EmbeddedError as error:
        complain(str(error))
        sys.exit(Exit.failed)
