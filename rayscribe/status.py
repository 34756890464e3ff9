"""`rayscribe status`: parts, deployments, queue, running tasks and last errors on one screen."""

import asyncio
import os
import time
from datetime import timedelta
from typing import Annotated

import httpx
import psutil
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from cluster.connection import ApplicationState, Dashboard
from cluster.embedded.installation import Installation, ray_token
from cluster.embedded.state import holder, load_records
from cluster.settings import Settings
from cluster.telemetry import reading
from cluster.telemetry.reading import Samples
from db.errors import StoreError
from rayscribe import screen
from rayscribe.context import DataDir, Exit, complain, console, settings_with

Watch = Annotated[
    float | None,
    typer.Option("--watch", "-w", min=1.0, help="Show it anew every so many seconds."),
]


def status(data_dir: DataDir = None, watch: Watch = None) -> None:
    """Show parts, deployments, queue, tasks and errors; exit status 1 when it does not run."""
    settings = settings_with(RAYSCRIBE_DATA_DIR=data_dir)
    installation = Installation(settings.paths.data_dir.resolve())
    if holder(installation.data_dir) is None and settings.ray.address is None:
        complain(f"not running on {installation.data_dir}: start it with `rayscribe up`")
        raise typer.Exit(Exit.failed)
    if watch is None:
        shown, healthy = _look(settings, installation)
        console.print(shown)
    else:
        healthy = _watch(settings, installation, watch)
    if not healthy:
        raise typer.Exit(Exit.failed)


def _watch(settings: Settings, installation: Installation, seconds: float) -> bool:
    """The screen, again and again until Ctrl-C."""
    healthy = False
    with Live(console=console, auto_refresh=False, screen=True) as live:
        try:
            while True:
                shown, healthy = _look(settings, installation)
                live.update(shown, refresh=True)
                time.sleep(seconds)
        except KeyboardInterrupt:
            return healthy


def _look(settings: Settings, installation: Installation) -> tuple[RenderableType, bool]:
    """The screen as it is now, and whether all runs."""
    parts, alive = _parts(settings, installation)
    deployments, healthy = _deployments(settings, installation)
    work, answered = _work(settings, installation)
    blocks: list[RenderableType] = []
    for block in (*parts, *deployments, *work):
        blocks += [block, Text()]
    return Group(*blocks), alive and healthy and answered


def _parts(settings: Settings, installation: Installation) -> tuple[list[RenderableType], bool]:
    """Processes that were started here, if any were, and whether all live."""
    supervisor = holder(installation.data_dir)
    if supervisor is None:
        # Of a cluster elsewhere nothing runs here; it has gone where something did.
        return [], settings.ray.address is not None
    table = screen.table("part", "pid", "up for", "address")
    addresses = installation.addresses()
    table.add_row("supervisor", str(supervisor.pid), _age(supervisor), addresses.get("api", ""))
    alive = True
    for part, record in load_records(installation.records).items():
        process = record.process()
        alive = alive and process is not None
        age = _age(process) if process else "[red]dead[/]"
        table.add_row(part, str(record.pid), age, addresses.get(part, ""))
    return [table], alive


def _age(process: psutil.Process) -> str:
    return str(timedelta(seconds=round(time.time() - process.create_time())))


def _dashboard(settings: Settings, installation: Installation) -> Dashboard | None:
    found = installation.dashboard()
    if found is None and settings.ray.address is not None:
        return Dashboard(settings.ray.address, ray_token(dict(os.environ)))
    return found


def _deployments(
    settings: Settings, installation: Installation
) -> tuple[list[RenderableType], bool]:
    dashboard = _dashboard(settings, installation)
    if dashboard is None:
        return [screen.trouble("Ray has not been started yet")], False
    try:
        applications = dashboard.applications()
        samples = reading.read(dashboard.metric_targets())
    except httpx.HTTPError as error:
        return [screen.trouble(f"Ray's dashboard does not answer: {error!r}")], False
    return _told(applications, samples), all(one.running for one in applications)


def _told(applications: tuple[ApplicationState, ...], samples: Samples) -> list[RenderableType]:
    silent = [screen.trouble(f"no metrics from {node}") for node in samples.silent]
    speed = screen.speed(samples)
    return [screen.deployments(applications, samples), *([speed] if speed.rows else []), *silent]


def _work(settings: Settings, installation: Installation) -> tuple[list[RenderableType], bool]:
    url = installation.environment().get("DATABASE_URL")
    if settings.database.url is not None:
        url = settings.database.url.get_secret_value()
    if url is None:
        return [screen.trouble("there is no database yet")], False
    try:
        return asyncio.run(screen.work(url)), True
    except (StoreError, SQLAlchemyError, OSError) as error:
        return [screen.trouble(f"the database does not answer: {type(error).__name__}")], False
