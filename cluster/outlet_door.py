"""Opens the one way out of a new network namespace, then becomes the program without privileges.

Standard library only: it is started by its path.

    python -I -S outlet_door.py DESCRIPTOR PATH… -- COMMAND…

`lo` comes up, and a listening socket on it is sent through DESCRIPTOR, a socket: connections to
127.0.0.1:PORT in here are accepted by whoever has that, outside. PATHs stay readable below
directories that are closed to the program's user, as a home is; nothing else below those is there.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

PORT = 3128
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
MS_BIND, MS_REC = 0x1000, 0x4000
SEARCHABLE_BY_OTHERS = 0o001


def open_way_out(channel: socket.socket) -> None:
    """Bring the loopback interface up, and hand a socket that listens on it to the other side."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        socket.send_fds(channel, [b"!"], [listener.fileno()])


def closed_ancestor(path: str) -> str | None:
    """The first directory on the way to `path` that its user cannot pass."""
    steps = path.strip("/").split("/")
    ways = ("/" + "/".join(steps[:count]) for count in range(1, len(steps)))
    return next((way for way in ways if not Path(way).stat().st_mode & SEARCHABLE_BY_OTHERS), None)


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    """The system call of this name."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target}")


def keep_readable(paths: list[str]) -> None:
    """Replace closed directories, in this mount namespace, by empty ones that hold the paths."""
    hidden = {path: closed_ancestor(path) for path in paths}
    kept = {path: os.open(path, os.O_PATH) for path, ancestor in hidden.items() if ancestor}
    for ancestor in sorted({each for each in hidden.values() if each}):
        mount("tmpfs", ancestor, "tmpfs", 0, "mode=755,size=1m")
    for path, descriptor in kept.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", path, "", MS_BIND | MS_REC, "")
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Open the door and go through it."""
    end = arguments.index("--")
    descriptor, *paths = arguments[:end]
    with socket.socket(fileno=int(descriptor)) as channel:
        open_way_out(channel)
    keep_readable(paths)
    command = arguments[end + 1 :]
    os.execvp(command[0], command)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
