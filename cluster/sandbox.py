"""Runs a program that reads hostile bytes: bounded memory, time and output, no network, no files.

`cluster.outlet` starts programs in the same way that need to reach one thing outside.

The limits are set by a chain of util-linux programs in front of the program (`unshare`, `setpriv`,
`prlimit`, `nice`; each replaces itself by the next). A Python `preexec_fn` would do the same but
runs between fork and exec, where a lock that another thread of a Ray worker held at the fork is
never released.

All that it started ends with it where the kernel gives a process namespace. Else what leaves its
process group outlives a cancellation: `processes_isolated` says which it is.
"""

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import ceil
from types import TracebackType
from typing import IO, Self

STDERR_BYTES = 16 * 1024
PIPE_BYTES = 64 * 1024
UNPRIVILEGED_ID = "65534"
"""The user and group `nobody`."""
OWN_PROCESSES = ("--pid", "--fork", "--kill-child")
"""Of `unshare`: the next program is the first process of a namespace, and ends it when it ends."""
SIGNALLED = 128
"""What `init` adds to the number of the signal that ended a program."""

OUT_OF_MEMORY = re.compile(
    r"cannot allocate memory|out of memory|memory exhausted|bad_alloc|failed to map segment",
    re.IGNORECASE,
)


class SandboxUnavailable(Exception):
    """A program that the sandbox needs is not installed, or cannot be started."""


class Resource(StrEnum):
    """What a sandboxed program can exhaust.

    `killed` means that the kernel killed it: out of CPU seconds, or the machine out of memory.
    """

    memory = "memory"
    time = "time"
    output = "output"
    killed = "killed"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a program may use.

    `wall_seconds` counts while somebody waits for the program's output; a reader that takes its
    time between two reads costs the program nothing. `output_bytes` bounds standard output, and
    `file_bytes` each file that the program writes: none unless something is said, since results
    leave through pipes.
    """

    memory_bytes: int
    wall_seconds: float
    output_bytes: int
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Isolation:
    """What this machine allows: the command prefix, and what it cuts off."""

    prefix: tuple[str, ...]
    network_isolated: bool = False
    own_user: bool = False
    processes_isolated: bool = False


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """How a program ended: its status (negative: the signal), its complaints, the limit it hit."""

    returncode: int
    stderr: str
    exceeded: Resource | None = None

    @property
    def succeeded(self) -> bool:
        """The program ended by itself and reports success."""
        return self.returncode == 0 and self.exceeded is None


def program(name: str) -> str:
    """The absolute path of an installed program.

    Raises:
        SandboxUnavailable: it is not on the PATH.
    """
    path = shutil.which(name)
    if path is None:
        raise SandboxUnavailable(f"{name} is not installed or not on the PATH")
    return path


def init() -> tuple[str, ...]:
    """What starts a namespace's program, and says how it ended: `timeout` with no time.

    A first process gets no signals of limits, so the program itself is not it.
    """
    return (program("timeout"), "--foreground", "0")


def isolations() -> Iterator[Isolation]:
    """What this kernel and container allow, strongest first.

    A container without CAP_SYS_ADMIN and user namespaces cannot have a network namespace; the
    decoder then relies on its protocol allow-list alone, and says so (`network_isolated`).
    """
    setpriv = (program("setpriv"), "--no-new-privs")
    identity = (f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups")
    unshare = (program("unshare"), "--net")
    own = (*OWN_PROCESSES, *init())
    users: list[tuple[bool, Sequence[str], tuple[str, ...]]] = [
        (True, unshare, (*setpriv, *identity)),
        (False, (*unshare, "--user", "--map-current-user"), setpriv),
    ]
    # Only root can become somebody else.
    users = users if os.geteuid() == 0 else users[1:]
    namespaces = [
        Isolation((*way, *processes, *privileges), bool(way), own_user, bool(processes))
        for own_user, way, privileges in users
        for processes in (own, ())
    ]
    without = [Isolation(privileges, own_user=own_user) for own_user, _, privileges in users]
    yield from (each for each in (*namespaces, *without) if _works(each.prefix))


@cache
def isolation() -> Isolation:
    """The strongest one, tried once; raise SandboxUnavailable where there is none."""
    for strongest in isolations():
        return strongest
    raise SandboxUnavailable("setpriv --no-new-privs does not work on this machine")


def _works(prefix: Sequence[str]) -> bool:
    attempt = subprocess.run(
        [*prefix, program("true")], env={}, capture_output=True, timeout=10, check=False
    )
    return attempt.returncode == 0


def limited(limits: SandboxLimits) -> tuple[str, ...]:
    """The command prefix that sets a program's limits.

    Raises:
        SandboxUnavailable: a program that does it is not installed.
    """
    return (
        program("nice"),
        "-n10",
        program("prlimit"),
        f"--as={limits.memory_bytes}",
        f"--cpu={ceil(limits.wall_seconds) + 1}",
        f"--fsize={limits.file_bytes}",
        "--nofile=64",
        "--core=0",
        # No --nproc: it counts all processes and threads of the user, Ray's among them.
        "--",
    )


def spawn(
    command: Sequence[str],
    pass_fds: Sequence[int] = (),
    *,
    directory: str = "/",
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, with no more environment than is given here.

    Raises:
        SandboxUnavailable: the machine is out of processes, or its first program is missing.
    """
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=pass_fds,
            cwd=directory,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(f"{command[0]} could not be started: {error}") from error


class SandboxedProcess:
    """A running program. Leaving its `with` block kills it together with what it started."""

    def __init__(self, process: subprocess.Popen[bytes], limits: SandboxLimits) -> None:
        self.pid = process.pid
        self._process = process
        self._output_bytes_left = limits.output_bytes
        self._seconds_left = limits.wall_seconds
        self._stderr = bytearray()
        self._exceeded: Resource | None = None
        self._output, self._errors = _pipe(process.stdout), _pipe(process.stderr)
        self._open = {self._output, self._errors}
        self._selector = selectors.DefaultSelector()
        for pipe in self._open:
            self._selector.register(pipe, selectors.EVENT_READ)

    def read(self, size: int) -> bytearray:
        """The next `size` bytes of output; fewer only where the output ends or a limit is hit."""
        block = bytearray(size)
        with memoryview(block) as view:
            filled = 0
            while filled < size and self._output in self._open:
                filled += self._receive(view[filled:])
        del block[filled:]
        return block

    def lines(self) -> Iterator[str]:
        """The output line by line, as it comes; one without an end within a block is cut there."""
        rest = b""
        block = memoryview(bytearray(PIPE_BYTES))
        while self._output in self._open:
            received = self._receive(block)
            *whole, rest = (rest + bytes(block[:received])).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
            rest = rest[-PIPE_BYTES:]

    def finish(self) -> SandboxExit:
        """Discard what is left of the output, wait for the end and say how it was."""
        scrap = memoryview(bytearray(PIPE_BYTES))
        while self._open:
            self._receive(scrap)
        if not self._ends_in_time():
            self._stop(Resource.time)
        self._kill()
        returncode = _own_status(self._process.wait())
        stderr = self._stderr.decode("utf-8", "replace")
        exceeded = self._exceeded or _limit_behind(returncode, stderr)
        return SandboxExit(returncode, stderr, exceeded)

    def kill(self) -> None:
        """End the program from another thread: whoever reads from it finds its output at an end."""
        self._kill()

    def close(self) -> None:
        """Kill the program, if it still runs, with its whole process group."""
        self._kill()
        self._process.wait()
        self._selector.close()
        self._output.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _receive(self, view: memoryview) -> int:
        """Wait for either pipe; put output into `view` and keep the head of the complaints."""
        ready = self._wait()
        if not ready:
            self._stop(Resource.time)
        if self._errors in ready:
            self._receive_error()
        return self._receive_output(view) if self._output in ready else 0

    def _wait(self) -> list[object]:
        started = time.monotonic()
        ready = self._selector.select(max(self._seconds_left, 0))
        self._seconds_left -= time.monotonic() - started
        return [key.fileobj for key, _ in ready]

    def _receive_output(self, view: memoryview) -> int:
        received = os.readv(self._output.fileno(), [view])
        if received == 0:
            self._end_of(self._output)
        accepted = min(received, self._output_bytes_left)
        self._output_bytes_left -= accepted
        if accepted < received:
            self._stop(Resource.output)
        return accepted

    def _receive_error(self) -> None:
        chunk = os.read(self._errors.fileno(), PIPE_BYTES)
        self._stderr += chunk[: STDERR_BYTES - len(self._stderr)]
        if not chunk:
            self._end_of(self._errors)

    def _end_of(self, pipe: IO[bytes]) -> None:
        self._open.remove(pipe)
        self._selector.unregister(pipe)

    def _ends_in_time(self) -> bool:
        descriptor = os.pidfd_open(self.pid)
        try:
            self._selector.register(descriptor, selectors.EVENT_READ)
            ended = bool(self._wait())
            self._selector.unregister(descriptor)
        finally:
            os.close(descriptor)
        return ended

    def _stop(self, exceeded: Resource) -> None:
        self._exceeded = self._exceeded or exceeded
        self._kill()
        for pipe in tuple(self._open):
            self._end_of(pipe)

    def _kill(self) -> None:
        # Until the leader is waited for, its id cannot become another process group's.
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)


def _own_status(status: int) -> int:
    """Negative where a signal ended the program, also where `init` tells it."""
    return SIGNALLED - status if SIGNALLED < status < SIGNALLED + signal.SIGRTMIN else status


def _limit_behind(returncode: int, stderr: str) -> Resource | None:
    if -returncode == signal.SIGXFSZ:
        return Resource.output
    if -returncode == signal.SIGKILL:
        return Resource.killed
    if returncode != 0 and OUT_OF_MEMORY.search(stderr):
        return Resource.memory
    return None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise SandboxUnavailable("the program was started without a pipe")
    return pipe


class Sandbox:
    """Starts programs under limits, without environment, core dumps or new privileges."""

    def __init__(self, chosen: Isolation | None = None) -> None:
        self._isolation = chosen or isolation()

    @property
    def network_isolated(self) -> bool:
        """Programs run in a network namespace of their own, which has no working interface."""
        return self._isolation.network_isolated

    @property
    def processes_isolated(self) -> bool:
        """Nothing that a program started outlives it, however it detached itself."""
        return self._isolation.processes_isolated

    @property
    def own_user(self) -> bool:
        """Programs run as `nobody` because this process is root."""
        return self._isolation.own_user

    def start(
        self, argv: Sequence[str], limits: SandboxLimits, pass_fds: Sequence[int] = ()
    ) -> SandboxedProcess:
        """Start a program that inherits only `pass_fds`; to be used as a context manager.

        Raises:
            SandboxUnavailable: the program is not installed or the machine is out of processes.
        """
        command = [*self._isolation.prefix, *limited(limits), program(argv[0]), *argv[1:]]
        return SandboxedProcess(spawn(command, pass_fds), limits)

    def run(
        self, argv: Sequence[str], limits: SandboxLimits, pass_fds: Sequence[int] = ()
    ) -> tuple[bytes, SandboxExit]:
        """Run a program to its end: its output (at most `output_bytes`) and how it ended."""
        with self.start(argv, limits, pass_fds) as process:
            # One byte more than allowed tells an output that just fits from one that was cut.
            output = process.read(limits.output_bytes + 1)
            return bytes(output), process.finish()
