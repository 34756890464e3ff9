"""`rayscribe status`: which parts run, since when and where; what Serve says of its deployments."""

import time
from datetime import timedelta

import httpx
import psutil
import typer
from rich.table import Table

from cluster.embedded.installation import Installation
from cluster.embedded.state import holder, load_records
from rayscribe.context import DataDir, Exit, complain, console, data_dir_of


def status(data_dir: DataDir = None) -> None:
    """Show the parts and the deployments; exit status 1 when it does not run."""
    directory = data_dir_of(data_dir)
    supervisor = holder(directory)
    if supervisor is None:
        complain(f"not running on {directory}: start it with `rayscribe up`")
        raise typer.Exit(Exit.failed)
    installation = Installation(directory)
    console.print(_parts(installation, supervisor))
    healthy = _show_deployments(installation)
    if not healthy:
        raise typer.Exit(Exit.failed)


def _parts(installation: Installation, supervisor: psutil.Process) -> Table:
    table = Table("part", "pid", "up for", "address", box=None, header_style="bold")
    addresses = installation.addresses()
    table.add_row("supervisor", str(supervisor.pid), _age(supervisor), addresses.get("api", ""))
    for part, record in load_records(installation.records).items():
        process = record.process()
        age = _age(process) if process else "[red]dead[/]"
        table.add_row(part, str(record.pid), age, addresses.get(part, ""))
    return table


def _age(process: psutil.Process) -> str:
    return str(timedelta(seconds=round(time.time() - process.create_time())))


def _show_deployments(installation: Installation) -> bool:
    dashboard = installation.dashboard()
    if dashboard is None:
        complain("Ray has not been started yet")
        return False
    try:
        applications = dashboard.applications()
    except httpx.HTTPError as error:
        complain(f"Ray's dashboard does not answer: {error!r}")
        return False
    table = Table("deployment", "application", "status", "replicas", box=None, header_style="bold")
    for application in applications:
        for part in application.deployments:
            replicas = f"{part.running}/{part.target}"
            table.add_row(part.name, application.name, part.status, replicas)
    console.print(table)
    return all(application.running for application in applications)
