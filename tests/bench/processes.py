"""CPU seconds of the parts of an installation, by their processes."""

from collections.abc import Mapping

import psutil

from tests.fixtures.stack import Stack

PARTS = {
    "runner": ("ServeReplica:pipelines:Runner",),
    "transcribers": ("ServeReplica:pipelines:Transcriber",),
    "API and proxy": ("ServeReplica:api:Api", "ProxyActor"),
    "Serve controller": ("ServeController",),
    "other replicas": ("ServeReplica:pipelines:",),
    "Ray": ("gcs_server", "raylet", "dashboard", "agent"),
    "database": ("postgres -D",),
    "object store": ("weed",),
}
"""Words in the command line of each part's processes; the first that fits counts."""


def part_of(process: psutil.Process) -> str | None:
    """Which part a process is of; None: none of these."""
    line = " ".join(process.cmdline())
    fits = (part for part, words in PARTS.items() if any(word in line for word in words))
    return next(fits, None)


def cpu_seconds(stack: Stack) -> Mapping[str, float]:
    """User and system time that each part's living processes have taken."""
    taken = dict.fromkeys(PARTS, 0.0)
    for process in stack.processes(""):
        try:
            part = part_of(process)
            if part is not None:
                taken[part] += _with_forks(process) if part == "database" else _own(process)
        except psutil.NoSuchProcess:
            continue
    return taken


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _with_forks(server: psutil.Process) -> float:
    """PostgreSQL's processes overwrite their environment: they are found as its children."""
    ended = server.cpu_times().children_user + server.cpu_times().children_system
    return _own(server) + ended + sum(map(_own, server.children()))
