"""What each role asks of the cluster: replicas, CPUs, GPUs, memory. Arithmetic over settings.

A replica that asks for more than the cluster has waits for ever in silence, so `check_fit` says so
before anything is deployed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cluster import scaling_policy
from cluster.settings import MIB, ScalingSettings, Settings


class Role(StrEnum):
    """A kind of replica."""

    preparer = "preparer"
    transcriber = "transcriber"
    aligner = "aligner"
    speaker_segmenter = "speaker_segmenter"
    speaker_embedder = "speaker_embedder"
    speaker_clusterer = "speaker_clusterer"
    text_embedder = "text_embedder"
    runner = "runner"
    api = "api"
    language_model = "language_model"


ON_GPU = frozenset(
    {
        Role.transcriber,
        Role.aligner,
        Role.speaker_segmenter,
        Role.speaker_embedder,
        Role.text_embedder,
        Role.language_model,
    }
)
"""Roles whose models run on a GPU where the cluster has one."""


BY_AUDIO = (
    Role.transcriber,
    Role.aligner,
    Role.speaker_segmenter,
    Role.speaker_embedder,
)
"""Roles whose number goes by the audio that waits; that of others goes by requests under way."""

MEMORY_MIB = {
    Role.preparer: 512,
    Role.transcriber: 1024,
    Role.aligner: 512,
    Role.speaker_segmenter: 1280,
    Role.speaker_embedder: 1280,
    Role.speaker_clusterer: 1024,
    Role.text_embedder: 768,
    Role.runner: 512,
    Role.api: 512,
}
"""What a replica takes at its peak in the CPU profile: "Memory" in docs/benchmarks.md."""

POOL_LABEL = "rayscribe.io/pool"
"""The label of a Ray node that says which roles belong there: `cpu`, `gpu`, `llm`."""

HEALTH_CHECK = {"health_check_period_s": 5, "health_check_timeout_s": 10}
"""How Serve asks model replicas whether they are well. It replaces one after three failures in a
row (REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD in Ray 2.60, no option): a replica that is frozen and
answers nothing is given up after 5 + 3 x 10 s."""


class DoesNotFit(Exception):
    """The replicas ask for more than the cluster has."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many replicas of a role there may be."""

    minimum: int
    maximum: int


def bounds(role: Role, settings: Settings) -> Bounds:
    """The replicas of a role; raise DoesNotFit where the smallest number exceeds the largest."""
    if role is Role.language_model and not settings.language.local:
        return Bounds(0, 0)
    if role is Role.runner:
        # It pulls from the queue: request-based autoscaling does not see its work.
        return Bounds(settings.runner.replicas, settings.runner.replicas)
    if role is Role.api:
        return Bounds(settings.api.replicas, settings.api.replicas)
    low = getattr(settings.replicas, f"{role}_min")
    high = getattr(settings.replicas, f"{role}_max")
    if low > high:
        names = f"RAYSCRIBE_REPLICAS_{role.upper()}"
        raise DoesNotFit(f"{names}_MIN={low} exceeds {names}_MAX={high}")
    return Bounds(low, high)


def ray_actor_options(role: Role, settings: Settings, gpus: float) -> dict[str, float]:
    """CPU and GPU share and memory of one replica; `gpus`: how many the cluster has."""
    options = {"num_cpus": settings.replicas.num_cpus}
    if gpus > 0 and role in ON_GPU:
        options["num_gpus"] = _gpu_share(role, settings)
    if memory := _memory_mib(role, settings, gpus):
        options["memory"] = memory * MIB
    return options


def _gpu_share(role: Role, settings: Settings) -> float:
    if role is Role.language_model:
        return settings.language.num_gpus
    share: float = getattr(settings.replicas, f"{role}_gpus")
    return share


def _memory_mib(role: Role, settings: Settings, gpus: float) -> int | None:
    """Memory of a replica; None: it asks for none, since nobody knows how much."""
    told: int | None = getattr(settings.replicas, f"{role}_memory_mib", None)
    if told is not None or gpus > 0 or settings.speech.engines == "fake":
        return told
    return MEMORY_MIB.get(role)


def pool(role: Role, gpus: float) -> str:
    """Which nodes a role belongs on, where nodes say what they are for."""
    if role is Role.language_model:
        return "llm"
    return "gpu" if gpus > 0 and role in ON_GPU else "cpu"


def deployment_options(
    role: Role, settings: Settings, gpus: float, target_requests: int = 2
) -> dict[str, Any]:
    """A Serve deployment's replicas and the resources of each.

    `gpus`: what the cluster has. `target_requests`: of roles that go by requests, how many a
    replica should have before another one starts; fewer than a batch, and batches would never fill.
    """
    asked: dict[str, Any] = {**ray_actor_options(role, settings, gpus)}
    if settings.replicas.pools:
        asked["label_selector"] = {POOL_LABEL: pool(role, gpus)}
    options: dict[str, Any] = {"ray_actor_options": asked}
    if role not in {Role.runner, Role.api}:
        options |= HEALTH_CHECK
        options["graceful_shutdown_timeout_s"] = settings.replicas.drain_seconds
    if "num_gpus" not in options["ray_actor_options"]:
        options["max_surge_percent"] = settings.scaling.surge_percent
    allowed = bounds(role, settings)
    # Serve passes on what replicas say only where it scales them; nobody but the runner says what
    # waits.
    says_what_waits = role is Role.runner and is_scaled(settings)
    if allowed.minimum == allowed.maximum and not says_what_waits:
        options["num_replicas"] = allowed.minimum
    else:
        options["autoscaling_config"] = {
            "min_replicas": allowed.minimum,
            "max_replicas": allowed.maximum,
            "target_ongoing_requests": target_requests,
            "look_back_period_s": settings.scaling.report_seconds,
            # The policy waits by itself, and for what was wanted all the while.
            "upscale_delay_s": 0,
            "downscale_delay_s": 0,
            "downscale_to_zero_delay_s": 0,
        }
    return options


def is_scaled(settings: Settings) -> bool:
    """Whether there is a role whose number goes by the audio that waits."""
    spans = [bounds(role, settings) for role in BY_AUDIO]
    return any(span.minimum < span.maximum for span in spans)


def application_policy(scaling: ScalingSettings) -> dict[str, Any]:
    """What an application's `autoscaling_policy` is in Serve's configuration."""
    return {
        "policy_function": scaling_policy.PATH,
        "policy_kwargs": {
            "goals": {
                "live": scaling.live_goal_seconds,
                "interactive": scaling.interactive_goal_seconds,
                "bulk": scaling.bulk_goal_seconds,
            },
            "cool_down": {
                "up": scaling.up_seconds,
                "down": scaling.down_seconds,
                "zero": scaling.zero_seconds,
            },
            "busy_share": scaling.busy_share,
            "rtfx": {str(role): getattr(scaling, f"{role}_rtfx") for role in BY_AUDIO},
        },
    }


UNITS = {"num_cpus": ("CPUS", 1.0), "num_gpus": ("GPUS", 1.0), "memory": ("MIB of memory", MIB)}
LOWER = {
    "num_cpus": "RAYSCRIBE_REPLICAS_NUM_CPUS",
    "num_gpus": "RAYSCRIBE_REPLICAS_…_GPUS",
    "memory": "RAYSCRIBE_REPLICAS_…_MEMORY_MIB",
}


def check_fit(settings: Settings, cpus: float, gpus: float, memory: float = float("inf")) -> None:
    """Raise DoesNotFit where even the smallest number of replicas would wait for ever.

    `memory`: in bytes, as the nodes count it.
    """
    for kind, has in (("num_cpus", cpus), ("num_gpus", gpus), ("memory", memory)):
        asked = _asked(settings, gpus, kind)
        if asked > has + 1e-6:
            unit, size = UNITS[kind]
            raise DoesNotFit(
                f"the replicas ask for {asked / size:g} {unit} and the cluster has "
                f"{has / size:g}: lower {LOWER[kind]} or the replicas"
            )


def fits_beside(settings: Settings, cpus: float, gpus: float, memory: float) -> bool:
    """Whether an update has room for a new replica of each kind while the old one still runs.

    One at a time is enough: each that is up lets an old one go.
    """

    def largest(kind: str) -> float:
        return max(ray_actor_options(role, settings, gpus).get(kind, 0) for role in Role)

    return all(
        _asked(settings, gpus, kind) + largest(kind) <= has + 1e-6
        for kind, has in (("num_cpus", cpus), ("memory", memory))
    )


def gpus_held(settings: Settings, gpus: float) -> float:
    """GPUs that the smallest number of replicas holds of a cluster that has so many."""
    return _asked(settings, gpus, "num_gpus")


def _asked(settings: Settings, gpus: float, kind: str) -> float:
    """What the smallest number of replicas takes together."""
    return sum(
        bounds(role, settings).minimum * ray_actor_options(role, settings, gpus).get(kind, 0)
        for role in Role
    )
