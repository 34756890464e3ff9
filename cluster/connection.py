"""Reaching a Ray cluster from outside: its dashboard's REST API; and from inside: what it has."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Self

import httpx

from cluster.settings import RaySettings

SERVE = "/api/serve/applications/"
METRICS = "/api/prometheus/sd"
POLL_SECONDS = 0.5
# The first request starts the dashboard's own connection to the cluster.
TIMEOUT_SECONDS = 60.0


class DeployError(Exception):
    """Ray Serve cannot run what it was told to run."""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A deployment as Serve sees it; replicas counted by state."""

    name: str
    status: str
    message: str
    running: int
    target: int

    @classmethod
    def read(cls, name: str, told: dict[str, Any]) -> Self:
        """From Serve's JSON."""
        states = [replica["state"] for replica in told["replicas"]]
        target = told["target_num_replicas"]
        return cls(name, told["status"], told["message"], states.count("RUNNING"), target)


@dataclass(frozen=True, slots=True)
class ApplicationState:
    """An application as Serve sees it."""

    name: str
    status: str
    message: str
    deployments: tuple[DeploymentState, ...]

    @classmethod
    def read(cls, name: str, told: dict[str, Any]) -> Self:
        """From Serve's JSON."""
        parts = sorted(told["deployments"].items())
        deployments = tuple(DeploymentState.read(part, fields) for part, fields in parts)
        return cls(name, told["status"], told["message"], deployments)

    @property
    def running(self) -> bool:
        """Whether every deployment has its replicas."""
        return self.status == "RUNNING"

    @property
    def failure(self) -> str | None:
        """Why it cannot be deployed, in a line."""
        if self.status != "DEPLOY_FAILED":
            return None
        failed = [part for part in self.deployments if part.status == "DEPLOY_FAILED"]
        reasons = [f"{part.name}: {last_line(part.message)}" for part in failed]
        return f"{self.name}: {'; '.join(reasons) or last_line(self.message)}"


def last_line(message: str) -> str:
    """The last line with text: of a traceback, the exception."""
    lines = [line.strip() for line in message.splitlines() if line.strip(" -~^")]
    return lines[-1] if lines else "no reason given"


class Dashboard:
    """A Ray dashboard's REST API.

    Args:
        address: `http://host:port`.
        token: Ray's cluster token; None: the cluster has none.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment is for the world outside, not for our own cluster.
        self._http = httpx.Client(
            base_url=address, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def answers(self) -> bool:
        """Whether Serve can be asked and told, which needs the cluster's head and a worker."""
        try:
            return self._http.get(SERVE).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def applications(self) -> tuple[ApplicationState, ...]:
        """What Serve runs; raise httpx.HTTPError where the dashboard does not answer."""
        told = self._http.get(SERVE).raise_for_status().json()["applications"]
        return tuple(ApplicationState.read(name, told[name]) for name in sorted(told))

    def metric_targets(self) -> list[str]:
        """Where nodes export their metrics (`host:port`); raise as `applications`."""
        groups = self._http.get(METRICS).raise_for_status().json()
        return sorted({target for group in groups for target in group["targets"]})

    def put(self, config: dict[str, Any]) -> None:
        """Tell Serve what to run (see cluster.serve_config); it runs nothing else afterwards."""
        answer = self._http.put(SERVE, json=config)
        if answer.is_error:
            raise DeployError(f"Ray Serve refused the configuration: {last_line(answer.text)}")

    def shut_down_serve(self, seconds: float) -> None:
        """Stop all applications in order: replicas finish what they have, or give it back."""
        self._http.delete(SERVE, timeout=seconds).raise_for_status()

    def await_running(
        self, names: Collection[str], seconds: float, progress: Callable[[str], None]
    ) -> None:
        """Wait until the applications run; raise DeployError with the reason where they cannot."""
        deadline = time.monotonic() + seconds
        while True:
            states = [state for state in self.applications() if state.name in names]
            failures = [state.failure for state in states if state.failure]
            if failures:
                raise DeployError("; ".join(failures))
            if len(states) == len(names) and all(state.running for state in states):
                return
            progress(summary(states))
            if time.monotonic() > deadline:
                raise DeployError(f"not deployed after {seconds:.0f} s: {summary(states)}")
            time.sleep(POLL_SECONDS)


def summary(states: Collection[ApplicationState]) -> str:
    """Which deployments have how many of their replicas."""
    parts = [part for state in states for part in state.deployments]
    waiting = [f"{part.name} {part.running}/{part.target}" for part in parts]
    return ", ".join(waiting) or "importing the applications"


def cluster_gpus(settings: RaySettings) -> float:
    """How many GPUs replicas may count on: the setting, or what this process's cluster has."""
    if settings.gpus is not None:
        return settings.gpus
    import ray

    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return float(resources.get("GPU", 0.0))
