"""The embedded PostgreSQL keeps what was committed, and lets in nobody without the password."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from cluster.embedded import unprivileged
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.postgres import (
    EmbeddedPostgres,
    find_binaries,
    probe_database,
    server_version,
)

NOBODY = 65534


def ask(url: str, query: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def keep_a_number(url: str, number: int) -> None:
    ask(url, "create table if not exists kept (number int)")
    ask(url, f"insert into kept values ({number})")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as running:
        yield running


def test_it_answers_with_what_search_and_vectors_need(server: EmbeddedPostgres) -> None:
    for extension in ("vector", "pg_trgm", "unaccent"):
        ask(server.url, f"create extension {extension}")
    assert ask(server.url, "select '[1,2]'::vector <-> '[1,3]'::vector") == 1.0
    assert ask(server.url, "show timezone") == "UTC"


def test_it_listens_on_loopback_only(server: EmbeddedPostgres) -> None:
    assert server.child
    process = psutil.Process(server.child.process.pid)
    listening = {
        connection.laddr.ip
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_the_password_is_private_and_needed(server: EmbeddedPostgres) -> None:
    password = (server.directory / "password").read_text()
    assert stat.S_IMODE((server.directory / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(server.url.replace(password, "guess"), "select 1")


def test_it_survives_kill_with_its_data(server: EmbeddedPostgres) -> None:
    keep_a_number(server.url, 42)
    url = server.url
    assert server.child
    os.kill(server.child.process.pid, signal.SIGKILL)
    server.start()
    assert server.url == url
    assert ask(url, "select sum(number) from kept") == 42


def test_a_later_run_ends_what_an_earlier_one_left(server: EmbeddedPostgres) -> None:
    keep_a_number(server.url, 7)
    assert server.child
    left = server.child
    with EmbeddedPostgres(server.directory, fsync=False) as later:
        assert ask(later.url, "select sum(number) from kept") == 7
        assert not left.alive()


def test_a_second_start_finds_data_and_password(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, fsync=False) as first:
        keep_a_number(first.url, 1)
        url = first.url
    with EmbeddedPostgres(tmp_path, fsync=False) as second:
        assert second.url == url
        assert ask(url, "select count(*) from kept") == 1


def test_fsync_is_on_unless_told_otherwise(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        assert ask(server.url, "show fsync") == "on"


def test_data_of_another_version_is_refused_in_a_line(tmp_path: Path) -> None:
    ours = server_version(find_binaries())
    server = EmbeddedPostgres(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=f"PostgreSQL 12, this is {ours}: dump it"):
        server.start()


def test_a_server_that_cannot_start_says_why_in_a_line(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, fsync=False):
        pass
    (tmp_path / "data" / "postgresql.conf").write_text("port = nonsense\n")
    with pytest.raises(EmbeddedError, match=r"postgres stopped while starting: .*postgresql\.conf"):
        EmbeddedPostgres(tmp_path, fsync=False).start()


def test_an_external_server_is_asked(server: EmbeddedPostgres) -> None:
    probe_database(server.url.replace("postgresql://", "postgresql+asyncpg://"))
    with pytest.raises(EmbeddedError, match="DATABASE_URL does not answer"):
        probe_database("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about running as root")
def test_root_without_user_namespaces_below_a_closed_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(unprivileged, "NAMESPACE", ("false",))
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        keep_a_number(server.url, 5)
        assert server.child
        assert psutil.Process(server.child.process.pid).uids().effective == NOBODY
    monkeypatch.undo()
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        assert ask(server.url, "select sum(number) from kept") == 5


AS_ORDINARY_USER = """
import sys, pathlib
from cluster.embedded.postgres import EmbeddedPostgres
from cluster.embedded.objects import EmbeddedObjects
with EmbeddedPostgres(pathlib.Path(sys.argv[1], "postgres"), fsync=False) as postgres:
    with EmbeddedObjects(pathlib.Path(sys.argv[1], "objects")) as objects:
        print(postgres.url, objects.endpoint)
"""


# Somebody else, who may read what root may: this Python may lie below root's closed home.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    "--securebits=+no_setuid_fixup",
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_starts_both_servers() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, NOBODY, NOBODY)
        environment = {"PYTHONPATH": str(Path.cwd()), "PATH": os.environ["PATH"], "HOME": home}
        command = [*AS_NOBODY, sys.executable, "-c", AS_ORDINARY_USER, home]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("postgresql://")
        assert {path.stat().st_uid for path in Path(home).rglob("*")} == {NOBODY}
