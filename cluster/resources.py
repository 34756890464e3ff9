"""What each role asks of the cluster: replicas, CPUs, GPUs. Arithmetic over settings, nothing else.

A replica that asks for more than the cluster has waits for ever in silence, so `check_fit` says so
before anything is deployed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cluster.settings import Settings


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
    """CPU and GPU share of one replica; `gpus`: how many the cluster has."""
    options = {"num_cpus": settings.replicas.num_cpus}
    if gpus > 0 and role in ON_GPU:
        language = role is Role.language_model
        options["num_gpus"] = (settings.language if language else settings.replicas).num_gpus
    return options


def deployment_options(
    role: Role, settings: Settings, gpus: float, target_requests: int = 2
) -> dict[str, Any]:
    """A Serve deployment's replicas and the resources of each.

    `gpus`: what the cluster has. `target_requests`: how many requests a replica should have before
    another one starts; fewer than a batch, and batches would never fill.
    """
    options: dict[str, Any] = {"ray_actor_options": ray_actor_options(role, settings, gpus)}
    if role not in {Role.runner, Role.api}:
        options |= HEALTH_CHECK
    allowed = bounds(role, settings)
    if allowed.minimum == allowed.maximum:
        options["num_replicas"] = allowed.minimum
    else:
        options["autoscaling_config"] = {
            "min_replicas": allowed.minimum,
            "max_replicas": allowed.maximum,
            "target_ongoing_requests": target_requests,
        }
    return options


def check_fit(settings: Settings, cpus: float, gpus: float) -> None:
    """Raise DoesNotFit where even the smallest number of replicas would wait for ever."""
    for kind, has in (("num_cpus", cpus), ("num_gpus", gpus)):
        asked = sum(
            bounds(role, settings).minimum * ray_actor_options(role, settings, gpus).get(kind, 0)
            for role in Role
        )
        if asked > has + 1e-6:
            raise DoesNotFit(
                f"the replicas ask for {asked:g} {kind.removeprefix('num_').upper()} and the "
                f"cluster has {has:g}: lower RAYSCRIBE_REPLICAS_{kind.upper()} or the replicas"
            )
