"""`rayscribe backfill`: one stage over many files: what it would be, having it done, its report."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from db.models import BackfillEngine, BackfillStage
from rayscribe import screen
from rayscribe.api_client import ApiClient, ApiFailure
from rayscribe.context import DataDir, Exit, complain, console
from rayscribe.transcribe import connect

BACKFILLS = "/api/admin/backfills"
ENDED = frozenset({"completed", "failed", "cancelled"})
POLL_SECONDS = 1.0

app = typer.Typer(
    name="backfill",
    help="One stage over many files: plan it, run it, resume it, report.",
    no_args_is_help=True,
)

Url = Annotated[
    str | None, typer.Option(help="The service. [default: the local one]", envvar="RAYSCRIBE_URL")
]
Token = Annotated[str | None, typer.Option(envvar="RAYSCRIBE_TOKEN", hidden=True)]
Stage = Annotated[BackfillStage, typer.Argument(help="What is done to each file.")]
Which = Annotated[str, typer.Argument(help="The backfill's id.")]
Owners = Annotated[list[str] | None, typer.Option("--owner", help="Only this user's files (id).")]
Files = Annotated[list[str] | None, typer.Option("--file", help="Only this file (id).")]
Languages = Annotated[list[str] | None, typer.Option("--language", help="Only of this language.")]
Since = Annotated[datetime | None, typer.Option(help="Only files that came in from then on (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Only files that came in before (UTC).")]
Everything = Annotated[
    bool, typer.Option("--everything", help="Also what is as the stage would make it.")
]
Edited = Annotated[
    bool, typer.Option("--edited", help="Also transcripts that people worked on: their work goes.")
]
Prefix = Annotated[
    str | None, typer.Option(help="Import what lies below: s3://bucket/prefix, or import/...")
]
Manifest = Annotated[
    str | None,
    typer.Option(help="A list, JSON lines or Parquet: a file here, or s3://bucket/key."),
]
ImportOwner = Annotated[str | None, typer.Option(help="Whose imported recordings will be (id).")]
SetLanguage = Annotated[str | None, typer.Option(help="The language to transcribe in.")]
Engine = Annotated[BackfillEngine, typer.Option(help="Models of its own, or the online replicas.")]
Hours = Annotated[float | None, typer.Option(help="Hours of audio after which it stops.")]
ModelSeconds = Annotated[float | None, typer.Option(help="Seconds of models after which it stops.")]
Rate = Annotated[float | None, typer.Option(help="Audio seconds begun per minute, at most.")]
Actors = Annotated[int | None, typer.Option(help="Actors at most; the operator's limit holds.")]


@app.command()
def plan(
    stage: Stage,
    owner: Owners = None,
    file: Files = None,
    language: Languages = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    edited: Edited = False,
    prefix: Prefix = None,
    manifest: Manifest = None,
    import_owner: ImportOwner = None,
    set_language: SetLanguage = None,
    max_hours: Hours = None,
    max_model_seconds: ModelSeconds = None,
    rate: Rate = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Files, hours, windows, cost and when it would be over; nothing is begun."""
    with signed_in(url, token, data_dir) as client:
        selection = _selection(
            client,
            owner,
            file,
            language,
            since,
            until,
            everything=everything,
            edited=edited,
            prefix=prefix,
            manifest=manifest,
            import_owner=import_owner,
        )
        limits = _limits(max_hours, max_model_seconds, rate, None)
        body = _body(stage, BackfillEngine.inprocess, selection, set_language, limits)
        _show_plan(client.send(f"{BACKFILLS}/plan", body))


@app.command()
def run(
    stage: Stage,
    owner: Owners = None,
    file: Files = None,
    language: Languages = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    edited: Edited = False,
    prefix: Prefix = None,
    manifest: Manifest = None,
    import_owner: ImportOwner = None,
    set_language: SetLanguage = None,
    engine: Engine = BackfillEngine.inprocess,
    max_hours: Hours = None,
    max_model_seconds: ModelSeconds = None,
    rate: Rate = None,
    actors: Actors = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Have it done, and show how far it is; it goes on if this command is stopped."""
    with signed_in(url, token, data_dir) as client:
        selection = _selection(
            client,
            owner,
            file,
            language,
            since,
            until,
            everything=everything,
            edited=edited,
            prefix=prefix,
            manifest=manifest,
            import_owner=import_owner,
        )
        limits = _limits(max_hours, max_model_seconds, rate, actors)
        body = _body(stage, engine, selection, set_language, limits)
        _follow(client, client.send(BACKFILLS, body), detach=detach)


@app.command()
def resume(
    backfill_id: Which,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try files again that failed.")
    ] = False,
    max_hours: Hours = None,
    max_model_seconds: ModelSeconds = None,
    rate: Rate = None,
    actors: Actors = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Have it go on after whatever ended it; what is done stays done."""
    with signed_in(url, token, data_dir) as client:
        body = {
            "retry_failed": retry_failed,
            "limits": _limits(max_hours, max_model_seconds, rate, actors),
        }
        begun = client.send(f"{BACKFILLS}/{backfill_id}/resume", body)
        _follow(client, begun, detach=detach)


@app.command()
def cancel(
    backfill_id: Which, url: Url = None, token: Token = None, data_dir: DataDir = None
) -> None:
    """Begin nothing more; `resume` goes on."""
    with signed_in(url, token, data_dir) as client:
        found = client.send(f"{BACKFILLS}/{backfill_id}/cancel", {})
        console.print(f"backfill {found['id']}: {found['state']}", highlight=False)


@app.command("list")
def list_all(url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """The latest 100, newest first."""
    with signed_in(url, token, data_dir) as client:
        table = screen.table("id", "stage", "state", "files")
        for one in client.read(BACKFILLS, page_size=100)["items"]:
            table.add_row(one["id"], one["stage"], _state(one), _counted(one))
        console.print(table)


@app.command()
def report(
    backfill_id: Which,
    output: Annotated[
        Path | None, typer.Option(help="Write a row for each file there, as Parquet.")
    ] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """What was done, failed, skipped, and how fast; a row for each file as Parquet."""
    with signed_in(url, token, data_dir) as client:
        path = f"{BACKFILLS}/{backfill_id}/report"
        _show_report(client.read(path))
        if output is not None:
            client.fetch(f"{path}.parquet", output)
            console.print(f"written: {output}", highlight=False)


@contextmanager
def signed_in(url: str | None, token: str | None, data_dir: Path | None) -> Iterator[ApiClient]:
    """A client; what the API refuses is one line and exit status 1."""
    client = connect(url, token, data_dir)
    try:
        yield client
    except ApiFailure as failure:
        complain(str(failure))
        raise typer.Exit(Exit.failed) from failure
    finally:
        client.close()


def _selection(
    client: ApiClient,
    owners: list[str] | None,
    files: list[str] | None,
    languages: list[str] | None,
    since: datetime | None,
    until: datetime | None,
    **others: Any,
) -> dict[str, Any]:
    manifest = others.pop("manifest")
    if manifest is not None and Path(manifest).is_file():
        # A list on this machine is sent first.
        manifest = client.send_file(f"{BACKFILLS}/manifests", Path(manifest))["location"]
    found = {
        "owner_ids": owners,
        "file_ids": files,
        "languages": languages,
        "created_from": f"{since.isoformat()}Z" if since else None,
        "created_to": f"{until.isoformat()}Z" if until else None,
        "manifest": manifest,
        "import_owner_id": others.pop("import_owner"),
        **others,
    }
    return _given(found)


def _limits(
    hours: float | None, model_seconds: float | None, rate: float | None, actors: int | None
) -> dict[str, Any]:
    return _given(
        {
            "audio_hours": hours,
            "model_seconds": model_seconds,
            "audio_seconds_per_minute": rate,
            "actors": actors,
        }
    )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    # By identity: zero equals False, and it is the API that says whether a zero makes sense.
    return {
        name: value
        for name, value in values.items()
        if not (value is None or value is False or value == [])
    }


def _body(
    stage: BackfillStage,
    engine: BackfillEngine,
    selection: Mapping[str, Any],
    language: str | None,
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    options = {"options": {"language": language}} if language else {}
    return {
        "stage": stage.value,
        "engine": engine.value,
        "selection": dict(selection),
        "limits": dict(limits),
        **options,
    }


def _follow(client: ApiClient, begun: Mapping[str, Any], *, detach: bool) -> None:
    console.print(f"backfill {begun['id']}", highlight=False)
    if detach:
        return
    try:
        found = _watched(client, begun["id"])
    except KeyboardInterrupt:
        console.print("it goes on; `rayscribe backfill list` tells how far it is")
        raise typer.Exit(Exit.ok) from None
    _show_report(client.read(f"{BACKFILLS}/{found['id']}/report"))
    if found["state"] != "completed":
        complain(found["error_message"] or f"the backfill is {found['state']}")
        raise typer.Exit(Exit.failed)


def _watched(client: ApiClient, backfill_id: str) -> Mapping[str, Any]:
    """Show how far it is until it has ended."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("looking for files", total=1.0, left="")
        while True:
            found: Mapping[str, Any] = client.read(f"{BACKFILLS}/{backfill_id}")
            eta = found["eta_seconds"]
            progress.update(
                bar,
                completed=found["progress"],
                description=_counted(found),
                left=f"{eta / 60:.0f} min left" if eta else "",
            )
            if found["state"] in ENDED:
                return found
            time.sleep(POLL_SECONDS)


def _counted(found: Mapping[str, Any]) -> str:
    items = found["items"]
    over = f"{items['done']} done, {items['failed']} failed, {items['skipped']} skipped"
    return f"{over} of {sum(items.values())}"


def _option(cut_by: str) -> str:
    """`audio_hours` is `--max-hours`, `model_seconds` is `--max-model-seconds`."""
    return cut_by.removeprefix("audio_").replace("_", "-")


def _state(found: Mapping[str, Any]) -> str:
    return f"{found['state']} ({found['stopped']})" if found["stopped"] else found["state"]


def _show_plan(found: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False)
    table.add_row("files", f"{found['files']} of {found['owners']} users")
    if found["left_out"]:
        table.add_row("left out", f"{found['left_out']} that people worked on (--edited)")
    table.add_row("audio", screen.duration(found["audio_hours"] * screen.HOUR))
    if found["windows"]:
        table.add_row("windows", f"{found['windows']}")
    for stage, seconds in found["model_seconds"].items():
        table.add_row(f"models: {stage}", f"{seconds:.0f} s")
    table.add_row("cost", f"{found['cost']:.2f} {found['currency']}")
    basis = "measured here" if found["measured"] else "assumed: nothing was measured yet"
    table.add_row("speed", f"{found['rtfx']:.1f} x real time ({basis})")
    until = datetime.fromisoformat(found["finish_at"]).astimezone()
    table.add_row("takes", f"{screen.duration(found['seconds'])}, until {until:%Y-%m-%d %H:%M}")
    if found["cut_by"]:
        table.add_row("ends early", f"by --max-{_option(found['cut_by'])}")
    console.print(table, highlight=False)


def _show_report(found: Mapping[str, Any]) -> None:
    backfill = found["backfill"]
    table = Table(box=None, show_header=False)
    table.add_row("state", _state(backfill))
    table.add_row("files", _counted(backfill))
    table.add_row("audio done", screen.duration(backfill["audio_hours"] * screen.HOUR))
    table.add_row("took", f"{found['seconds']:.0f} s; models {backfill['model_seconds']:.0f} s")
    if found["rtfx"] is not None:
        table.add_row("RTFx", f"{found['rtfx']:.1f}")
    for reason in found["reasons"]:
        table.add_row(reason["state"], f"{reason['files']}: {reason['error_type']}")
    console.print(table, highlight=False)
