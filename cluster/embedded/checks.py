"""What can be known to fail before anything starts: each failure is one line with its remedy."""

import shutil
from pathlib import Path

import psutil

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.state import is_free
from cluster.settings import MIB, ApiSettings

PROGRAMS = {"ffmpeg": "ffmpeg", "ffprobe": "ffmpeg", "exiftool": "libimage-exiftool-perl"}
"""Programs of the system that decoding needs, and Debian's package of each."""

MIN_FREE_BYTES = 1024 * MIB


def check_programs() -> None:
    """Raise EmbeddedError with the line to type where a program of the system is missing."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(sorted({PROGRAMS[program] for program in missing}))
        raise EmbeddedError(
            f"{', '.join(missing)} not found: "
            f"sudo apt-get install --no-install-recommends {packages}"
        )


def check_port(api: ApiSettings) -> None:
    """Raise EmbeddedError where another process listens on our port."""
    if is_free(api.port, api.host):
        return
    owner = _listener(api.port)
    raise EmbeddedError(f"port {api.port} is taken{owner}: choose another one with --port")


def check_space(directory: Path) -> None:
    """Raise EmbeddedError where the disk is (nearly) full."""
    free = shutil.disk_usage(directory).free
    if free < MIN_FREE_BYTES:
        raise EmbeddedError(
            f"the disk that holds {directory} has {free // MIB} MiB left and "
            f"{MIN_FREE_BYTES // MIB} are needed: free some space or choose another --data-dir"
        )


def _listener(port: int) -> str:
    """Who listens on the port, where we are allowed to know."""
    for connection in psutil.net_connections("tcp"):
        ours = connection.laddr and connection.laddr.port == port
        if ours and connection.status == psutil.CONN_LISTEN and connection.pid:
            return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
