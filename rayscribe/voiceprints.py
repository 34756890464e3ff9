"""`rayscribe voiceprints`: which models' voiceprints there are; embeds those of others anew."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from rayscribe.api_client import ApiClient, ApiFailure
from rayscribe.context import DataDir, Exit, complain, console
from rayscribe.transcribe import connect


class Action(StrEnum):
    """What is to be done."""

    status = "status"
    reembed = "reembed"


def voiceprints(
    action: Annotated[
        Action,
        typer.Argument(
            help="status: voiceprints by model. "
            "reembed: queue tasks for those that are not of the model in use."
        ),
    ] = Action.status,
    url: Annotated[
        str | None,
        typer.Option(help="The service. [default: the local one]", envvar="RAYSCRIBE_URL"),
    ] = None,
    token: Annotated[str | None, typer.Option(envvar="RAYSCRIBE_TOKEN", hidden=True)] = None,
    data_dir: DataDir = None,
) -> None:
    """Show which models' voiceprints there are, or embed those of other models anew."""
    client = connect(url, token, data_dir)
    try:
        if action is Action.reembed:
            _reembed(client)
        _show(client.voiceprints())
    except ApiFailure as failure:
        complain(str(failure))
        raise typer.Exit(Exit.failed) from failure
    finally:
        client.close()


def _reembed(client: ApiClient) -> None:
    files = enrolments = 0
    for queued in client.reembed():
        files, enrolments = files + queued["files"], enrolments + queued["enrolments"]
    console.print(f"queued: {files} files, {enrolments} clips", highlight=False)


def _show(found: Mapping[str, Any]) -> None:
    current = found["embedding_model"]
    table = Table("model", "speakers", "without", "files", "clips", box=None, header_style="bold")
    clips = {row["embedding_model"]: row["enrolments"] for row in found["enrolments_by_model"]}
    rows = {row["embedding_model"]: row for row in found["by_model"]}
    for model in dict.fromkeys([current, *rows, *clips]):
        row = rows.get(model, {"speakers": 0, "without_voiceprint": 0, "files": 0})
        numbers = (row["speakers"], row["without_voiceprint"], row["files"], clips.get(model, 0))
        name = f"{model} (in use)" if model == current else str(model or "none yet")
        table.add_row(name, *map(str, numbers))
    console.print(table)
    stale, tasks = found["stale"], found["tasks"]
    active = tasks["queued"] + tasks["running"] + tasks["cancelling"]
    console.print(
        f"of other models: {stale['files']} files, {stale['enrolments']} clips; "
        f"tasks: {active} to do, {tasks['completed']} done, {tasks['failed']} failed",
        highlight=False,
    )
