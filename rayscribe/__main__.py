"""The command line's root: `rayscribe` and `python -m rayscribe`."""

import typer

from rayscribe import backfill
from rayscribe.accounts import create_user
from rayscribe.bench import bench
from rayscribe.down import down
from rayscribe.inspect import inspect
from rayscribe.logs import logs
from rayscribe.migrate import migrate
from rayscribe.models import models
from rayscribe.reset import reset
from rayscribe.search import search
from rayscribe.serve_config import serve_config
from rayscribe.status import status
from rayscribe.transcribe import transcribe
from rayscribe.up import up
from rayscribe.update import update
from rayscribe.vectors import vectors
from rayscribe.voiceprints import voiceprints

COMMANDS = (
    up,
    down,
    status,
    update,
    transcribe,
    create_user,
    migrate,
    vectors,
    search,
    voiceprints,
    inspect,
    models,
    logs,
    serve_config,
    reset,
    bench,
)
"""Each command is a function of its own module, named as it is typed."""

app = typer.Typer(
    name="rayscribe",
    help="A self-hosted transcription platform that runs as a Ray cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command(command.__name__.replace("_", "-"))(command)
app.add_typer(backfill.app)


def main() -> None:
    """Run the command line; exit status 0 done, 1 failed, 2 used wrongly."""
    app()


if __name__ == "__main__":
    main()
