"""Child processes: started in their own session and marked, found again exactly, ended in order.

Every child carries `RAYSCRIBE_PART=<instance>:<part>` in its environment; what it starts inherits
the mark, so /proc tells which processes of this machine are ours and to which part they belong.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.state import Record

MARK = "RAYSCRIBE_PART"
POLL_SECONDS = 0.1
KILL_SECONDS = 10.0
# What a child started ends with it, by itself, in a moment; or it does not.
ORPHAN_SECONDS = 2.0
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose a process is: the installation and its part (`postgres`, `objects`, `ray`)."""

    instance: str
    part: str

    def __str__(self) -> str:
        return f"{self.instance}:{self.part}"


@dataclass(frozen=True, slots=True)
class Child:
    """A part that runs as our direct child; its output goes to `log`."""

    mark: Mark
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @classmethod
    def start(
        cls,
        mark: Mark,
        argv: Sequence[str | Path],
        environment: Mapping[str, str],
        log: Path,
        cwd: Path,
    ) -> "Child":
        """Start `argv` in a session of its own: Ctrl-C in our terminal does not reach it."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(argv),
                env={**environment, MARK: str(mark)},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        log.chmod(0o600)
        return cls(mark, process, log, time.monotonic())

    @property
    def record(self) -> Record:
        """What the data directory remembers of it."""
        return Record.of(self.process.pid)

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def alive(self) -> bool:
        """Whether it runs; a dead child is reaped."""
        return self.process.poll() is None

    def end(self, request: signal.Signals, seconds: float) -> None:
        """Ask it to stop with `request`, wait that long, then kill it with all it started."""
        if self.alive():
            end([psutil.Process(self.process.pid)], request, seconds)
        self.process.wait()

    def await_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready()`; raise EmbeddedError when it dies or takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive():
                raise EmbeddedError(f"{self.mark.part} stopped while starting: {self.last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.mark.part} was not ready after {seconds:.0f} s: {self.last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """The last line of its log, and where the rest is."""
        return f"{last_line(self.log)} (log: {self.log})"


def last_line(log: Path, window: int = 4096) -> str:
    """The last line with text of a log file."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - window))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def marked(instance: str, part: str = "") -> list[psutil.Process]:
    """Every running process of this installation, or of one of its parts."""
    # With a part the value must end there: `ray` is not `ray2`.
    wanted = f"{MARK}={instance}:{part}".encode() + (b"\0" if part else b"")
    own = os.getpid()
    found = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            environment = b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
            if pid != own and b"\0" + wanted in environment:
                found.append(psutil.Process(pid))
    return found


def runs(process: psutil.Process) -> bool:
    """Whether the process still does something; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def with_descendants(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes and all that they started and that still runs."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {process, *process.children(recursive=True)}
    return [process for process in found if runs(process) and process.pid != os.getpid()]


def end(roots: Sequence[psutil.Process], request: signal.Signals, seconds: float) -> None:
    """Ask `roots` to stop, wait for them, kill what they left behind."""
    everyone = with_descendants(roots)
    _send(roots, request)
    _wait(roots, seconds)
    _wait(everyone, ORPHAN_SECONDS)
    # Started while we waited: those are descendants of somebody in the list.
    rest = with_descendants(everyone)
    _send(rest, signal.SIGKILL)
    _wait(rest, KILL_SECONDS)


def end_leftovers(
    mark: Mark, request: signal.Signals, seconds: float, record: Record | None = None
) -> int:
    """End what an earlier run left of a part; return how many processes that was.

    `request` goes to the processes that nobody else of the part started; what runs after `seconds`
    is killed. `record`: a process of the part, where one is known.
    """
    ours = marked(mark.instance, mark.part)
    recorded = record.process() if record else None
    if recorded and recorded not in ours:
        ours.append(recorded)
    pids = {process.pid for process in ours}
    end([process for process in ours if _parent(process) not in pids], request, seconds)
    end(marked(mark.instance, mark.part), signal.SIGKILL, KILL_SECONDS)
    return len(ours)


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def _send(processes: Iterable[psutil.Process], request: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(request)


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 2)


def adopt_orphans() -> None:
    """Become the parent of processes whose parent dies: PID 1 of a container may not reap them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def reap_orphans(children: Iterable[Child]) -> None:
    """Reap adopted processes that died; the exit status of `children` stays theirs."""
    own = {child.process.pid for child in children}
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.pid not in own and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)
