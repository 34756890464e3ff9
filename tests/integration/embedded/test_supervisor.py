"""A whole installation of the embedded parts: loopback, private, stopped exactly, back after kills.

Each test brings Ray and Serve up for real, which takes most of a minute.
"""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from cluster.connection import Dashboard, DeployError
from cluster.embedded.installation import Installation
from cluster.embedded.processes import MARK, marked, runs
from cluster.embedded.ray_head import temporary_directory
from cluster.embedded.state import Record, claim, load_records
from cluster.serve_config import Application, serve_config
from cluster.settings import ApiSettings, LogSettings
from rayscribe.reset import delete
from tests.integration.embedded.run_hello import HELLO

SECONDS = 240.0
# Serve 2.60 opens each replica's own port on every interface; only Ray's token guards it.
OPEN_TO_ALL = "ray::ServeReplica"


class Running:
    """An installation supervised by another process."""

    def __init__(self, data_dir: Path) -> None:
        self.installation = Installation(data_dir)
        self.process: subprocess.Popen[str] | None = None

    def up(self) -> str:
        """Start; return what the check said."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.embedded.run_hello",
             self.installation.data_dir],
            env={**os.environ, "RAYSCRIBE_PORT": "0", "RAYSCRIBE_PROFILE": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stdout
        said = [line.strip() for line in iter(self.process.stdout.readline, "ready\n") if line]
        assert self.process.poll() is None, said
        return said[0]

    def tell(self, request: signal.Signals) -> int:
        """Send a signal; return the exit status."""
        assert self.process
        self.process.send_signal(request)
        return self.process.wait(SECONDS)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.installation.addresses()["api"] + path, trust_env=False, timeout=30)

    def query(self, sql: str) -> object:
        async def run() -> object:
            connection = await asyncpg.connect(self.installation.environment()["DATABASE_URL"])
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close()

        return asyncio.run(run())

    def processes(self, part: str = "") -> list[psutil.Process]:
        return marked(self.installation.instance, part)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    data_dir = claim(tmp_path / "data")
    runner = Running(data_dir)
    yield runner
    if runner.process and runner.process.poll() is None:
        runner.process.kill()
        runner.process.wait()
    delete(data_dir)
    assert not temporary_directory(runner.installation.instance).exists()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of another installation."""
    with subprocess.Popen(["sleep", "600"], env={MARK: "ffffffffffff:ray"}) as process:
        yield process
        process.kill()


def eventually(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.5)
    raise AssertionError(f"{what} not within {SECONDS} s")


def outside_loopback(processes: list[psutil.Process]) -> dict[str, str]:
    """Who listens where everybody can reach it."""
    return {
        process.name(): connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip not in {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    }


def test_private_while_it_runs_and_gone_when_it_stops(
    running: Running, stranger: subprocess.Popen[bytes]
) -> None:
    running.up()
    assert running.get("/health/ready").json() == {"greeting": "hello you"}

    open_to_all = outside_loopback(running.processes())
    assert all(name.startswith(OPEN_TO_ALL) for name in open_to_all), open_to_all

    data_dir = running.installation.data_dir
    readable = [
        path.relative_to(data_dir)
        for path in data_dir.iterdir()
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert readable == []
    assert stat.S_IMODE((data_dir / "ray" / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(temporary_directory(running.installation.instance).stat().st_mode) == 0o700

    inherited = ("DATABASE_URL", "MINIO_SECRET_KEY", "SECRET_KEY", "RAY_USAGE_STATS_ENABLED")
    expected = running.installation.environment()
    for name in inherited:
        assert running.get(f"/environment/{name}").json()["value"] == expected[name]

    address = running.installation.addresses()["ray"]
    assert httpx.get(f"{address}/api/serve/applications/", trust_env=False).status_code == 401
    assert not Dashboard(address, "guess").answers()

    refuses_what_cannot_start(running.installation)

    ours = running.processes()
    assert running.tell(signal.SIGTERM) == 0
    assert [process for process in ours if runs(process)] == []
    assert running.processes() == []
    assert stranger.poll() is None


def refuses_what_cannot_start(installation: Installation) -> None:
    """A deployment that fails is told with its own reason, and leaves the others alone."""
    dashboard = installation.dashboard()
    assert dashboard
    broken = Application("broken", "tests.fixtures.hello_serve:build_broken", None)
    port = int(installation.addresses()["api"].rpartition(":")[2])
    dashboard.put(serve_config(ApiSettings(port=port), LogSettings(), None, [HELLO, broken]))
    with pytest.raises(DeployError, match=r"^broken: Broken: .*the weights are missing"):
        dashboard.await_running(["hello", "broken"], SECONDS, lambda _: None)
    assert {state.name: state.running for state in dashboard.applications()}["hello"]


def test_it_comes_back_after_kills_with_its_data(
    running: Running, stranger: subprocess.Popen[bytes]
) -> None:
    running.up()
    running.query("create table kept (number int)")
    running.query("insert into kept values (42)")

    (gcs,) = [one for one in running.processes("ray") if one.name() == "gcs_server"]
    before = set(running.processes("ray"))
    gcs.kill()
    eventually(lambda: not any(runs(process) for process in before), "the old Ray is gone")
    eventually(lambda: serves(running), "Serve is back after its head was killed")
    records = load_records(running.installation.records)
    for part in ("postgres", "objects"):
        process = records[part].process()
        assert process, f"{part} was restarted though nothing happened to it"
        process.kill()
        eventually(partial(restarted, running, part, records), f"{part} is back")
    assert running.query("select number from kept") == 42

    assert running.tell(signal.SIGKILL) == -signal.SIGKILL
    left = running.processes()
    assert left
    assert "ended" in running.up()
    assert not any(runs(process) for process in left)
    assert running.query("select number from kept") == 42
    assert running.get("/health/ready").status_code == 200
    assert running.tell(signal.SIGINT) == 0
    assert running.processes() == []
    assert stranger.poll() is None


def serves(running: Running) -> bool:
    try:
        return running.get("/health/ready").status_code == 200
    except httpx.HTTPError:
        return False


def restarted(running: Running, part: str, before: dict[str, Record]) -> bool:
    now = load_records(running.installation.records)[part]
    return asdict(now) != asdict(before[part]) and now.process() is not None
