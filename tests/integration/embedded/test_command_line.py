"""What the command line says, in one line and an exit status, when something is in the way."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.embedded.processes import MARK
from cluster.embedded.state import claim, instance_id, locked


def rayscribe(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rayscribe", *map(str, words)],
        env={**os.environ, "RAYSCRIBE_PROFILE": "cpu", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_taken_port(data_dir: Path, detach: list[str]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = str(server.getsockname()[1])
        done = rayscribe("up", *detach, "--data-dir", data_dir, "--port", port)
    assert done.returncode == 1
    assert f"port {port} is taken by" in only_line(done)


def test_a_missing_program(data_dir: Path) -> None:
    done = rayscribe("up", "--data-dir", data_dir, "--port", "0", PATH="/nowhere")
    assert done.returncode == 1
    assert "ffmpeg, ffprobe, exiftool not found: sudo apt-get install" in only_line(done)


def test_a_data_directory_of_another_version(data_dir: Path) -> None:
    claim(data_dir)
    (data_dir / "postgres" / "data").mkdir(parents=True)
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    done = rayscribe("up", "--data-dir", data_dir, "--port", "0")
    assert done.returncode == 1
    assert "was made by PostgreSQL 12" in only_line(done)


def test_a_second_up_on_the_same_directory(data_dir: Path) -> None:
    with locked(claim(data_dir)):
        done = rayscribe("up", "--data-dir", data_dir)
    assert done.returncode == 1
    assert f"(pid {os.getpid()}): stop it with `rayscribe down" in only_line(done)


def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    done = rayscribe("up", "--data-dir", tmp_path)
    assert done.returncode == 1
    assert "holds other files" in only_line(done)


def test_replicas_that_would_wait_for_ever(data_dir: Path) -> None:
    done = rayscribe(
        "up", "--data-dir", data_dir, "--port", "0",
        RAYSCRIBE_REPLICAS_NUM_CPUS="1", RAYSCRIBE_RAY_NUM_CPUS="2",
    )  # fmt: skip
    assert done.returncode == 1
    assert "lower RAYSCRIBE_REPLICAS_NUM_CPUS" in only_line(done)


def test_a_setting_that_makes_no_sense_is_a_usage_error(data_dir: Path) -> None:
    done = rayscribe("up", "--data-dir", data_dir, MIN_SPEAKERS="5", MAX_SPEAKERS="2")
    assert done.returncode == 2
    assert "MIN_SPEAKERS=5 exceeds MAX_SPEAKERS=2" in only_line(done)


def test_an_unknown_option_is_a_usage_error() -> None:
    assert rayscribe("up", "--prot", "1").returncode == 2


def test_status_of_what_does_not_run(data_dir: Path) -> None:
    done = rayscribe("status", "--data-dir", data_dir)
    assert done.returncode == 1
    assert "start it with `rayscribe up`" in only_line(done)


def test_down_of_what_does_not_run(data_dir: Path) -> None:
    done = rayscribe("down", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (0, "nothing is running\n")


def test_down_ends_what_a_killed_supervisor_left(data_dir: Path) -> None:
    claim(data_dir)
    mark = f"{instance_id(data_dir)}:objects"
    with subprocess.Popen(["sleep", "600"], env={MARK: mark}) as left:
        done = rayscribe("down", "--data-dir", data_dir)
        assert "stopped 1 processes that it left" in done.stdout
        assert left.wait(5) != 0


def test_logs_of_one_part(data_dir: Path) -> None:
    logs = claim(data_dir) / "logs"
    (logs / "serve").mkdir(parents=True)
    (logs / "postgres.log").write_text("one\ntwo\nthree\n")
    (logs / "serve" / "replica_x.log").write_text("hello\n")
    assert rayscribe("logs", "postgres", "-n", "2", "--data-dir", data_dir).stdout == "two\nthree\n"
    assert rayscribe("logs", "serve", "--data-dir", data_dir).stdout == "hello\n"
    both = rayscribe("logs", "--data-dir", data_dir).stdout
    assert "postgres: three" in both
    assert "serve/replica_x: hello" in both
    unknown = rayscribe("logs", "nonsense", "--data-dir", data_dir)
    assert unknown.returncode == 1
    assert "there are: postgres, serve" in only_line(unknown)


def test_reset_asks_first(data_dir: Path) -> None:
    (claim(data_dir) / "postgres").mkdir()
    refused = subprocess.run(
        [sys.executable, "-m", "rayscribe", "reset", "--data-dir", data_dir],
        input="n\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert (data_dir / "postgres").exists()
    assert rayscribe("reset", "--yes", "--data-dir", data_dir).returncode == 0
    assert list(data_dir.iterdir()) == []


def test_reset_touches_no_foreign_directory(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    assert rayscribe("reset", "--yes", "--data-dir", tmp_path).returncode == 1
    assert (tmp_path / "thesis.txt").exists()
