"""The embedded Ray head: `ray start --head --block` as our direct child, on loopback, with a token.

Everything that Ray starts inherits our mark, so exactly its processes can be found and ended;
`ray stop` would end every Ray of the machine.
"""

import os
import shutil
import signal
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from cluster.connection import Dashboard
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.processes import Child, Mark, end_leftovers
from cluster.embedded.state import LOOPBACK, make_private, ports, secret
from cluster.node_environment import RAY
from cluster.settings import RaySettings

READY_SECONDS = 120.0
STOP_SECONDS = 30.0
# Workers take one port each, from a range of their own; Ray passes over those that are in use.
WORKER_PORTS = range(28_000, 32_000)
WORKER_PORT_COUNT = 1_000
KEPT_SESSIONS = 3
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may use, or `max`."""

SERVERS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "ray-client-server-port",
    "node-manager-port",
    "object-manager-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
DASHBOARD_METRICS = "dashboard-metrics"

LOCAL = {
    **RAY,
    # Without it Ray turns 127.0.0.1 into the machine's outer address and listens on all of them.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Serve is shut down before Ray is: nothing is left to drain.
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    # Process titles would overwrite the environment in /proc, and with it the mark.
    "SPT_NOENV": "1",
}
FOREIGN = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_NAMESPACE", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""Variables that would lead to another cluster."""


class RayHead:
    """A Ray cluster of one node.

    Args:
        directory: Created where it is missing: token and ports.
        settings: Its CPUs and its object store.
        environment: What the workers inherit.
        gpus: False hides the GPUs of this machine from Ray.
        log: Where `ray start` writes.
        instance: Whose it is (`state.instance_id`).
    """

    part = "ray"

    def __init__(
        self,
        directory: Path,
        settings: RaySettings,
        environment: Mapping[str, str],
        *,
        gpus: bool,
        log: Path,
        instance: str,
    ) -> None:
        self.directory = make_private(directory).resolve()
        self.mark = Mark(instance, self.part)
        self.log = log
        self.child: Child | None = None
        self._settings = settings
        self._inherited = environment
        self._gpus = gpus
        self._ports: dict[str, int] = {}
        starts = WORKER_PORTS[: 1 - WORKER_PORT_COUNT : WORKER_PORT_COUNT // 2]
        self._first_worker_port = starts[int(instance, 16) % len(starts)]

    @property
    def temporary(self) -> Path:
        """Ray's own folder. Ray opens it to everybody, so it lies in a private one."""
        return temporary_directory(self.mark.instance) / "r"

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, chosen once, by the flag that names them."""
        if not self._ports:
            self._ports = ports(self.directory / "ports.json", [*SERVERS, DASHBOARD_METRICS])
        return self._ports

    @property
    def dashboard(self) -> Dashboard:
        """Its REST API."""
        return Dashboard(f"http://{LOOPBACK}:{self.ports['dashboard-port']}", self._token())

    @property
    def environment(self) -> dict[str, str]:
        """What `ray start` gets, and its workers with it."""
        ours = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return {
            **ours,
            **self._inherited,
            **self.membership,
            "DASHBOARD_METRIC_PORT": str(self.ports[DASHBOARD_METRICS]),
        }

    @property
    def membership(self) -> dict[str, str]:
        """The environment that a process needs to talk to this cluster."""
        return {**LOCAL, "RAY_AUTH_TOKEN_PATH": str(self.directory / "token")}

    def start(self) -> None:
        """End what an earlier run left, then start and wait until Serve can be asked.

        Raises EmbeddedError.
        """
        self.stop()
        end_leftovers(self.mark, signal.SIGTERM, STOP_SECONDS)
        make_owned(self.temporary.parent)
        forget_sessions(self.temporary)
        self._token()
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *self._options()]
        self.child = Child.start(self.mark, command, self.environment, self.log, self.directory)
        self.child.await_ready(self.dashboard.answers, READY_SECONDS)

    def stop(self) -> None:
        """Stop it, and exactly the processes that it started."""
        if self.child:
            self.child.end(signal.SIGTERM, STOP_SECONDS)
            self.child = None
            end_leftovers(self.mark, signal.SIGKILL, STOP_SECONDS)

    def _token(self) -> str:
        return secret(self.directory / "token")

    def _options(self) -> list[str]:
        first = self._first_worker_port
        return [
            *("--head", "--block", "--disable-usage-stats", "--log-color=false"),
            # One node needs no autoscaler, and no driver reads the workers' output.
            *("--no-monitor", "--include-log-monitor=false"),
            *(f"--node-ip-address={LOOPBACK}", f"--dashboard-host={LOOPBACK}"),
            *(f"--{flag}={self.ports[flag]}" for flag in SERVERS),
            *(f"--min-worker-port={first}", f"--max-worker-port={first + WORKER_PORT_COUNT - 1}"),
            *(
                f"--num-cpus={logical_cpus(self._settings)}",
                *(() if self._gpus else ("--num-gpus=0",)),
            ),
            f"--object-store-memory={self._settings.object_store_bytes}",
            f"--memory={logical_memory(self._settings)}",
            f"--temp-dir={self.temporary}",
        ]


def temporary_directory(instance: str) -> Path:
    """Where Ray's folder lies; short, for the path of a Unix socket ends after 107 bytes."""
    return Path("/tmp") / f"rayscribe-{instance}"  # noqa: S108 - made private by make_owned


def logical_cpus(settings: RaySettings) -> int:
    """CPUs that Ray counts with: they cap how many replicas fit, no more."""
    return settings.num_cpus or os.cpu_count() or 1


def logical_memory(settings: RaySettings) -> int:
    """Bytes that Ray counts with for replicas: what the machine has, whatever else runs on it."""
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else ""
    total: int = psutil.virtual_memory().total
    return (min(total, int(limit)) if limit.isdigit() else total) - settings.object_store_bytes


def make_owned(directory: Path) -> None:
    """Create a private folder in a place that everybody writes to; refuse somebody else's."""
    directory.mkdir(mode=0o700, exist_ok=True)
    told = directory.lstat()
    if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.geteuid():
        raise EmbeddedError(f"{directory} belongs to somebody else: remove it, Ray needs the place")
    directory.chmod(0o700)


def forget_sessions(directory: Path) -> None:
    """Remove what sessions of Ray left behind, but for the latest ones, whose logs may be read."""
    sessions = sorted(path for path in directory.glob("session_2*") if not path.is_symlink())
    for session in sessions[: -KEPT_SESSIONS + 1]:
        shutil.rmtree(session)
