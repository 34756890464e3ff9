"""Tables of `rayscribe status`."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cluster.connection import ApplicationState
from cluster.settings import DatabaseSettings
from cluster.telemetry import catalogue
from cluster.telemetry.reading import Samples
from db.engine import create_engine, create_sessions, session_scope
from db.models import Task
from db.queries import oversight, work_in_hand

SHOWN_TASKS = 8
SHOWN_FAILURES = 4
MESSAGE = 80
"""Characters of an error's text."""
GIB = 1024**3
MINUTE, HOUR = 60.0, 3600.0
OF_IDS = frozenset({"task", "failed", "id"})
"""Columns with ids."""
ID_WIDTH = 36


def table(*columns: str) -> Table:
    """A table of the screen; ids stay whole, since other commands are given them."""
    made = Table(box=None, header_style="bold")
    for column in columns:
        made.add_column(column, min_width=ID_WIDTH if column in OF_IDS else None, overflow="fold")
    return made


def duration(seconds: float) -> str:
    """In hours, or below one in what is easier to read."""
    if seconds >= HOUR:
        return f"{seconds / HOUR:.2f} h"
    return f"{seconds / MINUTE:.1f} min" if seconds >= MINUTE else f"{seconds:.0f} s"


def trouble(message: str) -> RenderableType:
    """A line about what could not be asked."""
    return Text(message, style="red")


def deployments(applications: Iterable[ApplicationState], samples: Samples) -> Table:
    """Replicas as Serve sees them, and what they tell of themselves."""
    shown = table("deployment", "application", "status", "replicas", "memory", "batch fill")
    memory = samples.by(catalogue.REPLICA_MEMORY, "deployment", max)
    items = samples.by(catalogue.BATCH_ITEMS, "deployment")
    places = samples.by(catalogue.BATCH_PLACES, "deployment")
    for application in applications:
        for part in application.deployments:
            name = part.name
            shown.add_row(
                name,
                application.name,
                part.status,
                f"{part.running}/{part.target}",
                f"{memory[name] / GIB:.2f} GiB" if name in memory else "",
                f"{items[name] / places[name]:.0%}" if places.get(name) else "",
            )
    return shown


def speed(samples: Samples) -> Table:
    """How fast stages were since the runners and replicas began."""
    shown = table("stage", "audio", "RTFx", "model seconds")
    audio = samples.by(catalogue.STAGE_AUDIO, "stage")
    seconds = samples.by(catalogue.STAGE_SECONDS, "stage")
    busy = samples.by(catalogue.MODEL_SECONDS, "stage")
    for stage in sorted({*audio, *busy}):
        rate = f"{audio[stage] / seconds[stage]:.1f}" if seconds.get(stage) else ""
        used = f"{busy[stage]:.2f}" if stage in busy else ""
        shown.add_row(stage, duration(audio[stage]) if stage in audio else "", rate, used)
    published = samples.by(catalogue.PUBLISHED_AUDIO, "deployment")
    took = samples.by(catalogue.PUBLISHED_SECONDS, "deployment")
    if sum(took.values()):
        rate = f"{sum(published.values()) / sum(took.values()):.1f}"
        shown.add_row("end to end", duration(sum(published.values())), rate, "")
    return shown


async def work(database_url: str) -> list[RenderableType]:
    """The queue by lane, what runs, and what failed lately."""
    engine = create_engine(DatabaseSettings(url=SecretStr(database_url)))
    try:
        async with session_scope(create_sessions(engine)) as session:
            lanes = await oversight.load(session)
            running = await work_in_hand.running(session, SHOWN_TASKS + 1)
            failed = await work_in_hand.failed_lately(session, SHOWN_FAILURES)
    finally:
        await engine.dispose()
    queue = table("lane", "audio that waits", "p50", "p95", "p99", "longest", "overdue")
    for lane, load in lanes.items():
        ages = [_span(age) for age in load.waiting_age_seconds.values()]
        waiting = duration(load.waiting_audio_seconds)
        oldest = _span(load.waiting_oldest_seconds)
        queue.add_row(lane.value, waiting, *ages, oldest, str(load.overdue or ""))
    shown: list[RenderableType] = [queue]
    if running:
        shown.append(_running(running[:SHOWN_TASKS], more=len(running) > SHOWN_TASKS))
    if failed:
        shown.append(_failures(failed))
    return shown


def _running(tasks: Iterable[Task], *, more: bool) -> Table:
    shown = table("task", "kind", "lane", "stage", "done", "for", "attempt", "runner")
    for task in tasks:
        shown.add_row(
            str(task.id),
            task.kind.value,
            task.lane.value,
            task.stage or "",
            f"{task.progress:.0%}",
            _since(task.started_at),
            str(task.attempt),
            task.lease_owner or "",
        )
    if more:
        shown.add_row("…")
    return shown


def _failures(tasks: Iterable[Task]) -> Table:
    shown = table("failed", "ago", "kind", "why", "")
    for task in tasks:
        # Text, not markup: the message is somebody's words.
        message = Text(" ".join((task.error_message or "").split())[:MESSAGE])
        ago = _since(task.finished_at)
        shown.add_row(str(task.id), ago, task.kind.value, task.error_type or "", message)
    return shown


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds else ""


def _since(moment: datetime | None) -> str:
    return "" if moment is None else _span((datetime.now(UTC) - moment).total_seconds())
