"""What cannot work is said in a line, with its remedy, before anything starts."""

import os
import socket
from pathlib import Path

import pytest

from cluster.embedded import checks
from cluster.embedded.errors import EmbeddedError
from cluster.settings import ApiSettings


def test_a_taken_port_is_named_with_its_owner_and_the_way_out() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        expected = rf"port {port} is taken by .* \(pid {os.getpid()}\): .*--port"
        with pytest.raises(EmbeddedError, match=expected):
            checks.check_port(ApiSettings(host="127.0.0.1", port=port))


def test_missing_programs_are_named_with_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ffmpeg").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError) as told:
        checks.check_programs()
    assert str(told.value) == (
        "ffprobe, exiftool not found: "
        "sudo apt-get install --no-install-recommends ffmpeg libimage-exiftool-perl"
    )


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "MIN_FREE_BYTES", 2**80)
    with pytest.raises(EmbeddedError, match=rf"the disk that holds {tmp_path} has \d+ MiB left"):
        checks.check_space(tmp_path)
