"""`rayscribe up`: start everything, say what is being done, keep it running until told to stop."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from cluster import logs
from cluster.embedded.environment import python_path
from cluster.embedded.errors import EmbeddedError, Stopped
from cluster.embedded.installation import Installation
from cluster.embedded.state import claim, locked, make_private
from cluster.embedded.supervisor import Supervisor
from cluster.settings import Settings
from db.migrations.run import upgrade
from rayscribe import language
from rayscribe.bootstrap import ensure_admin
from rayscribe.context import DataDir, Exit, console, one_line_errors, settings_with
from rayscribe.demo import demonstrate
from rayscribe.models import check_weights
from rayscribe.report import Kind, Pipe, Reporter, Step, Terminal, events, run_steps

ModelDir = Annotated[
    Path | None,
    typer.Option("--model-dir", help="Where model weights are. [default: $MODEL_CACHE_DIR]"),
]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port of the API; 0: any. [default: 5174]"),
]
LAST_STEP = "ready"
ReportTo = Annotated[int | None, typer.Option("--report-to", hidden=True)]


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready; it runs on.")
    ] = False,
    port: Port = None,
    data_dir: DataDir = None,
    model_dir: ModelDir = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Transcribe the bundled sample when it is ready.")
    ] = False,
    llm: Annotated[
        bool, typer.Option("--llm", help="Run a language model inside the cluster (make llm).")
    ] = False,
    report_to: ReportTo = None,
) -> None:
    """Start everything and keep it running; Ctrl-C stops it."""
    settings = settings_with(
        RAYSCRIBE_PORT=port,
        RAYSCRIBE_DATA_DIR=data_dir,
        MODEL_CACHE_DIR=model_dir,
        RAYSCRIBE_LLM_LOCAL=llm or None,
    )
    with one_line_errors():
        directory = claim(settings.paths.data_dir)
        if detach:
            _detach(directory)
            if demo:
                url = Installation(directory).addresses()["api"]
                demonstrate(url, directory, console, summary=settings.language.local)
        elif report_to is None:
            _run(settings, directory, Terminal(console), demo=demo)
        else:
            _run(settings, directory, Pipe(os.fdopen(report_to, "w")))


def steps(supervisor: Supervisor, settings: Settings) -> list[Step]:
    """What starting consists of, in order."""
    environment = supervisor.environment
    return [
        Step("check", supervisor.check),
        Step("models", lambda _: check_weights(settings)),
        Step("language", lambda _: language.include(supervisor, settings)),
        Step("postgres", supervisor.start_postgres),
        Step("objects", supervisor.start_objects),
        Step("migrate", lambda _: upgrade(environment["DATABASE_URL"])),
        Step("bootstrap", lambda _: ensure_admin(environment)),
        Step("ray", supervisor.start_ray),
        Step("deploy", supervisor.deploy),
        *(
            [Step("llm", lambda progress: language.await_ready(supervisor, progress))]
            if settings.language.local
            else []
        ),
        Step(LAST_STEP, supervisor.await_ready),
    ]


def _run(settings: Settings, directory: Path, reporter: Reporter, *, demo: bool = False) -> None:
    """Start and supervise in this process."""
    with locked(directory):
        log_dir = settings.logs.log_dir or make_private(directory / "logs")
        logs.configure(settings.logs.model_copy(update={"log_dir": log_dir}), "supervisor")
        supervisor = Supervisor(settings, directory)
        supervisor.take_charge()
        try:
            run_steps(steps(supervisor, settings), reporter)
            if demo:
                demonstrate(supervisor.url, directory, console, summary=settings.language.local)
            _show_addresses(supervisor.url)
            supervisor.supervise()
        except Stopped as stopped:
            console.print(f"{stopped}: stopping (once more to hurry)", highlight=False)
        finally:
            supervisor.stop()


def _detach(directory: Path) -> None:
    """Start the supervisor in a session of its own and show its steps until it is ready."""
    with locked(directory):
        log = make_private(directory / "logs") / "supervisor.log"
    ours, theirs = os.pipe()
    supervisor = _spawn(theirs, log)
    os.close(theirs)
    try:
        with os.fdopen(ours) as lines:
            _follow(lines, log)
    except EmbeddedError:
        # It stops by itself what it had started: a signal would only cut that short.
        supervisor.wait()
        raise
    except KeyboardInterrupt as interrupt:
        supervisor.terminate()
        supervisor.wait()
        raise typer.Exit(Exit.failed) from interrupt


def _spawn(report_to: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        log.chmod(0o600)
        return subprocess.Popen(
            [sys.executable, "-m", "rayscribe", "up", f"--report-to={report_to}"],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[report_to],
            start_new_session=True,
        )


def _follow(lines: TextIO, log: Path) -> None:
    """Show the supervisor's steps until the last one succeeds; raise EmbeddedError otherwise."""
    terminal = Terminal(console)
    for event in events(lines):
        terminal.tell(event)
        if event.kind is Kind.failed:
            raise EmbeddedError(event.text)
        if event.kind is Kind.done and event.step == LAST_STEP:
            _show_addresses(event.text)
            return
    raise EmbeddedError(f"it ended before it was ready: see {log}")


def _show_addresses(url: str) -> None:
    console.print(f"\n  API   {url}/api\n  docs  {url}/docs\n", highlight=False)
