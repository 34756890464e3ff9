"""What outlives a run in the data directory: lock, private files, ports, records of children."""

import errno
import fcntl
import hashlib
import json
import os
import random
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from cluster.embedded.errors import AlreadyRunning, EmbeddedError

LOOPBACK = "127.0.0.1"
LOCK = "lock"

# Below the kernel's ephemeral range (32768), so that no outgoing connection takes one of them,
# and above Ray's default worker ports (10002-19999).
SERVICE_PORTS = range(20_000, 27_000)
# The API's is chosen first and bound last: none of the others may take it meanwhile.
API_PORTS = range(27_000, 28_000)

# psutil computes start times from the boot time, which moves when the clock is set.
CLOCK_TOLERANCE_SECONDS = 1.0


def instance_id(directory: Path) -> str:
    """The name of the installation in `directory`: the same for every run, another for a copy."""
    return hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:12]


def claim(directory: Path) -> Path:
    """Make `directory` our data directory; raise EmbeddedError where it is somebody else's."""
    try:
        stranger = directory.is_dir() and not (directory / LOCK).exists()
        if stranger and any(directory.iterdir()):
            raise EmbeddedError(
                f"{directory} holds other files: choose an empty or a new one with --data-dir"
            )
        make_private(directory)
        with (directory / LOCK).open("a"):
            pass
    except OSError as error:
        raise EmbeddedError(directory_advice(directory, error)) from error
    return directory.resolve()


def make_private(directory: Path) -> Path:
    """Create `directory`, or make it ours alone (0700)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    return directory


def directory_advice(directory: Path, error: OSError) -> str:
    """Say in a line why `directory` cannot be used, and what to do."""
    if error.errno == errno.ENAMETOOLONG:
        return "the data directory's path is too long: choose a shorter one with --data-dir"
    if error.errno == errno.ENOSPC:
        return f"the disk that holds {directory} is full: free some space"
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        return f"{directory} is no directory: choose another one with --data-dir"
    return f"cannot write to {directory} ({error.strerror}): choose another one with --data-dir"


def write_private(path: Path, text: str) -> None:
    """Replace `path` (0600) by `text`, as a whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def secret(path: Path) -> str:
    """The secret kept in `path` (0600), made at the first call: 64 hexadecimal digits."""
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return path.read_text()


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` of `host` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def ports(path: Path, names: Iterable[str], among: range = SERVICE_PORTS) -> dict[str, int]:
    """A port for each name, kept in `path`: the same at every start, unless it is taken by then."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    wanted = list(names)
    still = {name: port for name, port in kept.items() if port in among and is_free(port)}
    chosen = {name: still[name] for name in wanted if name in still}
    fresh = _free_ports(among, set(chosen.values()))
    chosen |= {name: next(fresh) for name in wanted if name not in chosen}
    if chosen != kept:
        write_private(path, json.dumps(chosen, indent=1))
    return chosen


def _free_ports(among: range, taken: set[int]) -> Iterator[int]:
    for port in random.sample(among, len(among)):
        if port not in taken and is_free(port):
            yield port
    raise EmbeddedError(f"no free port left in {among.start}-{among.stop - 1}")


@dataclass(frozen=True, slots=True)
class Record:
    """A process as we left it: the start time tells it from a later one with the same pid."""

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int) -> "Record":
        """The record of a process that runs now."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The recorded process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < CLOCK_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def load_records(path: Path) -> dict[str, Record]:
    """The recorded children by part."""
    if not path.exists():
        return {}
    return {part: Record(**fields) for part, fields in json.loads(path.read_text()).items()}


def save_records(path: Path, records: dict[str, Record]) -> None:
    """Keep the records of children."""
    write_private(path, json.dumps({part: asdict(record) for part, record in records.items()}))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process; raise AlreadyRunning where another one holds it."""
    with (directory / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = holder(directory)
            raise AlreadyRunning(
                f"rayscribe already runs on {directory} (pid {owner.pid if owner else 'unknown'}): "
                f"stop it with `rayscribe down --data-dir {directory}`"
            ) from None
        (directory / LOCK).chmod(0o600)
        file.truncate(0)
        file.write(json.dumps(asdict(Record.of(os.getpid()))))
        file.flush()
        yield


def holder(directory: Path) -> psutil.Process | None:
    """The process that holds `directory`, if any."""
    with suppress(FileNotFoundError, ValueError, TypeError):
        return Record(**json.loads((directory / LOCK).read_text())).process()
    return None
