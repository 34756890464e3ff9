"""`rayscribe logs`: what the parts wrote, all of them or one, up to now or as it comes."""

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cluster.embedded.installation import Installation
from rayscribe.context import DataDir, Exit, complain, data_dir_of

POLL_SECONDS = 0.3


def logs(
    part: Annotated[
        str | None, typer.Argument(help="supervisor, postgres, objects, ray, serve …")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each file.")] = 40,
    data_dir: DataDir = None,
) -> None:
    """Show the last lines of the parts' logs."""
    folder = Installation(data_dir_of(data_dir)).logs
    files = log_files(folder)
    wanted = {
        name: path for name, path in files.items() if part in {None, name.split("/")[0], name}
    }
    if not wanted:
        known = ", ".join(sorted({name.split("/")[0] for name in files})) or "none yet"
        complain(f"no log of {part or 'any part'} in {folder}; there are: {known}")
        raise typer.Exit(Exit.failed)
    for name, path in wanted.items():
        for line in last_lines(path, lines):
            _show(name, line, len(wanted))
    if follow:
        _follow(wanted)


def log_files(folder: Path) -> dict[str, Path]:
    """Every log by name: `postgres`, `serve/replica_api_…`, `ray/raylet`."""
    # rglob does not enter `ray`, a link to Ray's own folder.
    found = [*folder.rglob("*.log"), *(folder / "ray").glob("*.log")]
    by_name = {str(path.relative_to(folder).with_suffix("")): path for path in found}
    return dict(sorted(by_name.items()))


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file."""
    with path.open(errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, count)]


def _follow(files: Mapping[str, Path]) -> None:
    places = {name: path.stat().st_size for name, path in files.items()}
    while True:
        for name, path in files.items():
            with path.open(errors="replace") as file:
                file.seek(places[name])
                for line in file:
                    _show(name, line.rstrip("\n"), len(files))
                places[name] = file.tell()
        time.sleep(POLL_SECONDS)


def _show(name: str, line: str, files: int) -> None:
    typer.echo(f"{name}: {line}" if files > 1 else line)
