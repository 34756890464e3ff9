"""How the cluster is, asked from inside: nodes that are alive, applications and their replicas."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeploymentHealth:
    """A deployment: Serve's word for its status, its reason, running replicas."""

    application: str
    name: str
    healthy: bool
    status: str
    message: str
    running: int


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """The cluster as Serve's controller and Ray's head tell it."""

    nodes: int
    deployments: tuple[DeploymentHealth, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is a node and every deployment is healthy."""
        return self.nodes > 0 and all(part.healthy for part in self.deployments)


def cluster_health() -> ClusterHealth:
    """Ask Ray and Serve, blocking: a process of the cluster calls it in a thread.

    Raises ray.exceptions.RayError where the head or Serve's controller does not answer.
    """
    import ray
    from ray import serve

    alive = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
    parts = (
        (application, name, overview)
        for application, state in serve.status().applications.items()
        for name, overview in state.deployments.items()
    )
    return ClusterHealth(
        alive,
        tuple(
            DeploymentHealth(
                application,
                name,
                # While Serve adds or takes away replicas, the others serve.
                overview.status.value in {"HEALTHY", "UPSCALING", "DOWNSCALING"},
                overview.status.value,
                overview.message,
                sum(
                    count
                    for state, count in overview.replica_states.items()
                    if state.value == "RUNNING"
                ),
            )
            for application, name, overview in parts
        ),
    )
