"""`rayscribe down`: stop what `rayscribe up` started in a data directory, and nothing else."""

import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.installation import Installation
from cluster.embedded.processes import runs
from cluster.embedded.state import holder, locked
from rayscribe.context import DataDir, console, data_dir_of, one_line_errors

POLL_SECONDS = 0.2


def down(
    data_dir: DataDir = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an orderly stop.")] = 120.0,
) -> None:
    """Stop everything that `up` started."""
    directory = data_dir_of(data_dir)
    with one_line_errors():
        supervisor = holder(directory)
        if supervisor:
            _stop(supervisor, timeout)
            console.print("stopped")
        elif left := end_leftovers(directory):
            console.print(f"the supervisor was dead; stopped {left} processes that it left")
        else:
            console.print("nothing is running")


def _stop(supervisor: psutil.Process, seconds: float) -> None:
    supervisor.terminate()
    deadline = time.monotonic() + seconds
    while runs(supervisor):
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"still stopping after {seconds:.0f} s (pid {supervisor.pid}): "
                "`rayscribe down` once more cuts the current wait short"
            )
        time.sleep(POLL_SECONDS)


def end_leftovers(directory: Path) -> int:
    """End what a killed supervisor left behind; return how many processes that was."""
    if not (directory / "lock").exists():
        return 0
    installation = Installation(directory)
    with locked(directory):
        left = installation.end_leftovers()
        installation.forget_run()
    return left
