"""What outlives a run: private, exact about processes, one holder at a time."""

import os
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.embedded.errors import AlreadyRunning, EmbeddedError
from cluster.embedded.state import (
    Record,
    claim,
    holder,
    instance_id,
    is_free,
    load_records,
    locked,
    ports,
    save_records,
    secret,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_claimed_directory_is_private(tmp_path: Path) -> None:
    assert mode(claim(tmp_path / "data")) == 0o700


def test_a_claimed_directory_can_be_claimed_again(tmp_path: Path) -> None:
    first = claim(tmp_path / "data")
    (first / "postgres").mkdir()
    assert claim(tmp_path / "data") == first


def test_a_directory_with_foreign_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    before = mode(tmp_path)
    with pytest.raises(EmbeddedError, match=r"holds other files.*--data-dir"):
        claim(tmp_path)
    assert mode(tmp_path) == before


def test_a_path_that_is_too_long_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"too long.*--data-dir"):
        claim(tmp_path / ("x" * 300))


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="is no directory"):
        claim(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EmbeddedError, match=r"cannot write to .*--data-dir"):
        claim(tmp_path / "data")


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    first = secret(tmp_path / "key")
    assert len(first) == 64
    assert secret(tmp_path / "key") == first
    assert mode(tmp_path / "key") == 0o600


def test_a_private_file_replaces_a_readable_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)


def test_installations_are_told_apart_by_place(tmp_path: Path) -> None:
    assert instance_id(tmp_path / "a") != instance_id(tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert instance_id(tmp_path / "link") == instance_id(tmp_path / "a")


def test_ports_are_kept(tmp_path: Path) -> None:
    first = ports(tmp_path / "ports.json", ["a", "b"])
    assert len(set(first.values())) == 2
    assert ports(tmp_path / "ports.json", ["a", "b"]) == first


def test_a_port_that_somebody_took_is_replaced(tmp_path: Path) -> None:
    first = ports(tmp_path / "ports.json", ["a", "b"])
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", first["a"]))
        thief.listen()
        assert not is_free(first["a"])
        second = ports(tmp_path / "ports.json", ["a", "b"])
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_a_record_finds_its_process() -> None:
    found = Record.of(os.getpid()).process()
    assert found is not None
    assert found.pid == os.getpid()


def test_a_record_does_not_take_a_later_process_for_its_own() -> None:
    earlier = replace(Record.of(os.getpid()), started_at=Record.of(os.getpid()).started_at - 60)
    assert earlier.process() is None


def test_a_record_does_not_take_a_zombie_for_alive() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        record = Record.of(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert record.process() is None


def test_records_outlive_the_process_that_wrote_them(tmp_path: Path) -> None:
    records = {"postgres": Record(1, 2.5), "ray": Record(3, 4.5)}
    save_records(tmp_path / "children.json", records)
    assert load_records(tmp_path / "children.json") == records
    assert load_records(tmp_path / "missing.json") == {}


def pid_of_holder(directory: Path) -> int | None:
    process = holder(directory)
    return process.pid if process else None


HOLD = """
import sys, pathlib
from cluster.embedded.state import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_on_the_same_directory_is_told_who_and_what_to_do(tmp_path: Path) -> None:
    claim(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        assert pid_of_holder(tmp_path) == other.pid
        with (
            pytest.raises(AlreadyRunning, match=f"pid {other.pid}.*rayscribe down"),
            locked(tmp_path),
        ):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            assert pid_of_holder(tmp_path) == os.getpid()
    assert pid_of_holder(tmp_path) == os.getpid()
