"""Runs a program that reads hostile bytes and has to fetch them: as the sandbox, with one way out.

The program gets a network namespace of its own, in which nothing answers but one port of loopback.
The socket behind that port is ours (`cluster.outlet_door` sends it out of the namespace), and
`cluster.egress.Proxy` serves it: whatever the program asks for is resolved, checked and pinned
outside of it, and no address can be reached in another way.

Where the kernel allows no namespace (a container without CAP_SYS_ADMIN and user namespaces) the
program is told of a proxy on the machine's own loopback, and *nothing but its own obedience* keeps
it from connecting past that. `network_isolated` says so; `docs/operations.md` says what to allow.

The namespace cuts off the network, and only that. As root the program runs as `nobody`, who may
read what everybody may. As an ordinary user it runs as *our own user*: it sees that user's files,
this service's settings and data among them. Where that matters run rayscribe as root in a
container, or forbid downloads. `own_user` says which it is.
"""

import asyncio
import fcntl
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from cluster import outlet_door
from cluster.egress import Policy, Proxy
from cluster.sandbox import (
    OWN_PROCESSES,
    UNPRIVILEGED_ID,
    SandboxedProcess,
    SandboxLimits,
    SandboxUnavailable,
    init,
    limited,
    program,
    spawn,
)

T = TypeVar("T")

DOOR = str(Path(outlet_door.__file__).resolve())
DOOR_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Way:
    """What this machine allows: how namespaces are made, and how privileges are given up."""

    namespaces: tuple[str, ...]
    privileges: tuple[str, ...]
    own_user: bool
    processes_isolated: bool = False

    @property
    def network_isolated(self) -> bool:
        """Nothing but the proxy can be reached."""
        return bool(self.namespaces)


@dataclass(frozen=True, slots=True)
class Workplace:
    """A directory of the program's own, for as long as its `with` block runs."""

    path: Path

    def read(self, name: str) -> int:
        """A descriptor of a plain file that the program wrote, never of what a link leads to.

        Raises:
            OSError: there is none.
        """
        return os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _ways() -> Iterator[Way]:
    """Strongest first."""
    setpriv, unshare = (program("setpriv"), "--no-new-privs"), program("unshare")
    nobody = (f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups")
    powerless = ("--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
    own = (*OWN_PROCESSES, *init())
    if os.geteuid() == 0:
        # Mounts too: the interpreter may lie in root's home.
        namespaces = (unshare, "--net", "--mount")
        yield Way((*namespaces, *own), (*setpriv, *nobody), own_user=True, processes_isolated=True)
        yield Way(namespaces, (*setpriv, *nobody), own_user=True)
        yield Way((), (*setpriv, *nobody), own_user=True)
    else:
        mapped = (unshare, "--user", "--map-root-user", "--net")
        yield Way((*mapped, *own), (*setpriv, *powerless), own_user=False, processes_isolated=True)
        yield Way(mapped, (*setpriv, *powerless), own_user=False)
        yield Way((), setpriv, own_user=False)


@cache
def _strongest(readable: tuple[str, ...]) -> Way:
    """Try once what this kernel and container allow: does the interpreter find its library?"""
    limits = SandboxLimits(1 << 30, DOOR_SECONDS, 0)
    check = [sys.executable, "-I", "-S", "-c", "import encodings.idna, json, ssl"]
    for way in _ways():
        try:
            with _started(way, check, limits, readable, "/", {}) as (process, _):
                if process.finish().succeeded:
                    return way
        except SandboxUnavailable:
            continue
    raise SandboxUnavailable(
        f"the user nobody cannot run {sys.executable}: install rayscribe where others may read, "
        "allow namespaces (CAP_SYS_ADMIN), or run it as an ordinary user"
    )


@contextmanager
def _started(
    way: Way,
    argv: Sequence[str],
    limits: SandboxLimits,
    readable: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
) -> Iterator[tuple[SandboxedProcess, socket.socket | None]]:
    """The program, and the socket of its way out where it is in a namespace."""
    command = [*way.privileges, *limited(limits), *argv]
    if not way.network_isolated:
        popen = spawn(command, directory=directory, environment=environment)
        with SandboxedProcess(popen, limits) as process:
            yield process, None
        return
    ours, theirs = socket.socketpair()
    with ours, theirs:
        paths = readable if way.own_user else ()
        door = [sys.executable, "-I", "-S", DOOR, str(theirs.fileno()), *paths, "--"]
        popen = spawn(
            [*way.namespaces, *door, *command],
            [theirs.fileno()],
            directory=directory,
            environment=environment,
        )
        theirs.close()
        with SandboxedProcess(popen, limits) as process, _received(ours) as listener:
            yield process, listener


def _received(channel: socket.socket) -> socket.socket:
    channel.settimeout(DOOR_SECONDS)
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    except OSError as error:
        raise SandboxUnavailable(f"the sandbox did not open its way out: {error}") from error
    if not descriptors:
        raise SandboxUnavailable("the sandbox ended before it opened its way out")
    return socket.socket(fileno=descriptors[0])


class Outlet:
    """Starts programs whose only way out is a proxy.

    `packages` are directories besides the interpreter's that they have to read.
    """

    def __init__(self, policy: Policy, packages: Sequence[str]) -> None:
        self._policy = policy
        prefixes = {sys.base_prefix, sys.prefix, *map(os.path.realpath, packages)}
        self._readable = tuple(sorted(prefixes))
        self._way = _strongest(self._readable)

    @property
    def network_isolated(self) -> bool:
        """The kernel lets programs reach nothing but the proxy; else only they themselves do."""
        return self._way.network_isolated

    @property
    def processes_isolated(self) -> bool:
        """Nothing that a program started outlives it, however it detached itself."""
        return self._way.processes_isolated

    @property
    def own_user(self) -> bool:
        """Programs run as `nobody` because this process is root."""
        return self._way.own_user

    @contextmanager
    def workplace(self, directory: Path | None = None) -> Iterator[Workplace]:
        """An empty directory in which programs may write; None: among temporary files.

        Raises:
            SandboxUnavailable: somebody else has put something in its place.
        """
        with own_directory(directory or Path(tempfile.gettempdir())) as path:
            if self.own_user:
                os.chown(path, int(UNPRIVILEGED_ID), int(UNPRIVILEGED_ID))
            yield Workplace(path)

    @asynccontextmanager
    async def running(
        self, argv: Sequence[str], limits: SandboxLimits, place: Workplace, max_bytes: int
    ) -> AsyncIterator[tuple[SandboxedProcess, Proxy]]:
        """Start a program; it ends with the block.

        Args:
            argv: the program, by its absolute path, and its arguments.
            limits: what it may use.
            place: where it works.
            max_bytes: what it may receive, over all connections.

        Raises:
            SandboxUnavailable: it cannot be started.
        """
        secret = Proxy.new_secret()
        with socket.create_server(("127.0.0.1", 0)) as own:
            port = outlet_door.PORT if self.network_isolated else own.getsockname()[1]
            environment = _environment(Proxy.url(secret, port), place)
            readable = (*self._readable, str(place.path))
            started = _started(self._way, argv, limits, readable, str(place.path), environment)
            async with (
                _in_thread(started) as (process, listener),
                Proxy(self._policy, listener or own, secret, max_bytes) as proxy,
            ):
                yield process, proxy


@contextmanager
def own_directory(directory: Path) -> Iterator[Path]:
    """A new directory, locked while it is in use; those that nobody uses any more are removed.

    Raises:
        SandboxUnavailable: somebody else has put something in its place, or nothing can be made
            there.
    """
    base = directory / f"rayscribe-sandbox-{os.geteuid()}"
    with ExitStack() as held:
        try:
            path = held.enter_context(_made_in(base))
        except OSError as error:
            raise SandboxUnavailable(
                f"no directory for the sandbox can be made in {base}: {error.strerror}; "
                "RAYSCRIBE_DOWNLOAD_DIRECTORY must be a directory that this user may write to"
            ) from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _made_in(base: Path) -> Iterator[Path]:
    base.mkdir(exist_ok=True)
    with ExitStack() as held:
        with _opened(base) as descriptor:
            # Before the lock: somebody else could hold theirs for ever.
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise SandboxUnavailable(f"{base} belongs to somebody else: remove it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Programs of another user pass through it.
            os.fchmod(descriptor, 0o711)
            sweep(base.iterdir())
            path = Path(tempfile.mkdtemp(dir=base))
            held.enter_context(_locked(path))
        yield path


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, how)
        yield


def sweep(paths: Iterable[Path]) -> None:
    """Remove directories left by a process that was killed: its locks ended with it."""
    for path in paths:
        try:
            with _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(path, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            # In use, or removed by its owner since it was listed: that takes no lock of ours.
            continue


@asynccontextmanager
async def _in_thread(blocking: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave it off the loop: namespaces take a while. A cancellation leaves nothing."""
    entering = asyncio.create_task(asyncio.to_thread(blocking.__enter__))
    try:
        yield await asyncio.shield(entering)
    finally:
        await asyncio.wait([entering])
        if entering.exception() is None:
            await asyncio.to_thread(blocking.__exit__, None, None, None)


def _environment(proxy: str, place: Workplace) -> Mapping[str, str]:
    # Not as an argument: those are shown to everybody on the machine.
    names = ("http_proxy", "https_proxy", "all_proxy")
    return {"HOME": str(place.path), "TMPDIR": str(place.path), **dict.fromkeys(names, proxy)}
