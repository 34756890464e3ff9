"""`rayscribe transcribe FILE…`: through the REST API, a progress bar per file."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cluster.embedded.installation import Installation
from rayscribe.api_client import ApiClient, ApiFailure, Submitted
from rayscribe.bootstrap import load_credential
from rayscribe.context import DataDir, Exit, complain, errors, settings_with

MAX_SPEAKERS = 1000


class Format(StrEnum):
    """Export formats."""

    txt = "txt"
    srt = "srt"
    vtt = "vtt"
    json = "json"
    rttm = "rttm"
    ctm = "ctm"


@dataclass(slots=True)
class Job:
    """One file on its way."""

    path: Path
    bar: TaskID
    submitted: Submitted | None = None
    error: str | None = None


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio or video files.")],
    url: Annotated[
        str | None,
        typer.Option(help="The service. [default: the local one]", envvar="RAYSCRIBE_URL"),
    ] = None,
    language: Annotated[str, typer.Option(help="A language code, or auto.")] = "auto",
    min_speakers: Annotated[int | None, typer.Option(min=1, max=MAX_SPEAKERS)] = None,
    max_speakers: Annotated[int | None, typer.Option(min=1, max=MAX_SPEAKERS)] = None,
    form: Annotated[Format, typer.Option("--format", help="What to fetch.")] = Format.txt,
    output: Annotated[
        Path | None, typer.Option(help="A directory for the results. [default: print them]")
    ] = None,
    token: Annotated[str | None, typer.Option(envvar="RAYSCRIBE_TOKEN", hidden=True)] = None,
    data_dir: DataDir = None,
) -> None:
    """Transcribe files and print or store the results."""
    _check(files, min_speakers, max_speakers, output)
    options = {"language": language, "min_speakers": min_speakers, "max_speakers": max_speakers}
    client = connect(url, token, data_dir)
    try:
        failed = run(client, files, options, form, output)
    except KeyboardInterrupt:
        complain("left; what was accepted goes on, and the same command finds it again")
        raise typer.Exit(Exit.failed) from None
    finally:
        client.close()
    raise typer.Exit(Exit.failed if failed else Exit.ok)


def _check(files: list[Path], low: int | None, high: int | None, output: Path | None) -> None:
    missing = [path for path in files if not path.is_file()]
    for path in missing:
        complain(f"{path}: no such file")
    if low is not None and high is not None and low > high:
        complain(f"--min-speakers {low} exceeds --max-speakers {high}")
        raise typer.Exit(Exit.usage)
    if missing:
        raise typer.Exit(Exit.usage)
    stems = [path.stem for path in files]
    if output is not None and len(set(stems)) < len(stems):
        complain("two files would be written under one name: give them in separate calls")
        raise typer.Exit(Exit.usage)
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            complain(f"--output {output}: {error.strerror}")
            raise typer.Exit(Exit.usage) from error


def connect(url: str | None, token: str | None, data_dir: Path | None) -> ApiClient:
    """A client for `url`, or for the installation that runs here."""
    settings = settings_with(RAYSCRIBE_DATA_DIR=data_dir)
    directory = settings.paths.data_dir.resolve()
    address = url or Installation(directory).addresses().get("api")
    if address is None:
        complain(f"nothing runs on {directory}: start it with `rayscribe up`, or give --url")
        raise typer.Exit(Exit.failed)
    # The local credential is for the local service: another address never sees it.
    credential = load_credential(directory) if url is None and token is None else None
    return ApiClient(address, token, credential)


def run(
    client: ApiClient,
    files: list[Path],
    options: dict[str, Any],
    form: Format,
    output: Path | None,
) -> int:
    """Upload all, follow all, fetch all; says how many failed."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors) as bars:
        jobs = [Job(path, bars.add_task(path.name, total=1.0, stage="")) for path in files]
        for job in jobs:
            _attempt(job, lambda job: _submit(client, job, options, bars))
        for job in jobs:
            _attempt(job, lambda job: _follow(client, job, bars))
    for job in jobs:
        _attempt(job, lambda job: _fetch(client, job, form, output))
        if job.error:
            complain(f"{job.path}: {job.error}")
    return sum(job.error is not None for job in jobs)


def _attempt(job: Job, step: Any) -> None:
    if job.error is None:
        try:
            step(job)
        except ApiFailure as failure:
            job.error = str(failure)


def _submit(client: ApiClient, job: Job, options: dict[str, Any], bars: Progress) -> None:
    def show(stage: str, fraction: float) -> None:
        bars.update(job.bar, stage=stage, completed=fraction)

    job.submitted = client.submit(job.path, options, show)


def _follow(client: ApiClient, job: Job, bars: Progress) -> None:
    if job.submitted is None:
        return
    task_id = job.submitted.task_id
    if task_id is None:
        complain(f"{job.path}: uploaded before, with the options of then; showing that transcript")
        # Its task may still run.
        task = client.transcription_of(job.submitted.file_id)
        task_id = task["id"] if task else None
    if task_id is None:
        return
    for task in client.follow(task_id):
        bars.update(job.bar, stage=standing(task), completed=task["progress"])
        if task["state"] in {"failed", "cancelled"}:
            raise ApiFailure(task["error_message"] or f"the task was {task['state']}")


def standing(task: Mapping[str, Any]) -> str:
    """Where a task stands, in a word or two."""
    state, eta, position = task["state"], task["eta_seconds"], task.get("queue_position")
    if state == "queued":
        return f"queued, number {position}" if position else "queued"
    stage = str(task["stage"] or state)
    return f"{stage}, {eta:.0f} s left" if eta and state == "running" else stage


def _fetch(client: ApiClient, job: Job, form: Format, output: Path | None) -> None:
    if job.submitted is None:
        return
    text = client.export(job.submitted.file_id, form)
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        (output / f"{job.path.stem}.{form}").write_text(text)
