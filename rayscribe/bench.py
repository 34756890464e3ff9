"""`rayscribe bench`: how fast this machine is, beside others with the same weights."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from rayscribe.context import Exit, complain

ROOT = Path(__file__).parents[1]

Words = Annotated[
    list[str] | None,
    typer.Argument(help="Options of the bench, as `-- --minutes 4 --files 8`; `-- --help` lists."),
]


def bench(
    words: Words = None,
    name: Annotated[str, typer.Option(help="Which one of tests/bench.")] = "throughput",
) -> None:
    """Measure audio a second, by stage and end to end; needs a clone of the repository."""
    if not (ROOT / "tests" / "bench").is_dir():
        complain("benches are not part of the package: run this in a clone of the repository")
        raise typer.Exit(Exit.failed)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", name, *(words or ())], cwd=ROOT, check=False
    )
    raise typer.Exit(done.returncode)
