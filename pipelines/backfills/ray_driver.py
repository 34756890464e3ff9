"""Drives a backfill through Ray Data: references over a pool of actors, audio in none of them.

What drives it is an actor of its own, beside the runner that asked for it: Ray Data plans, hands
out and starts anew there, so that a runner's loop keeps its leases. Everything that counts is in
PostgreSQL: whatever dies here is begun anew, and finds what is done.
"""

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.settings import BackfillSettings
from db.models import BackfillEngine
from pipelines.backfills.bulk_actor import BulkActor
from pipelines.backfills.parts import Chunk, Drive, DriverDied, Halt, Outcome
from pipelines.stages.base import Models

IN_FLIGHT = 2
"""Chunks that an actor has: it works on both, so that it has something to do to the end of each."""


class RayDriver:
    """The Driver port over Ray Data.

    Args:
        settings: of backfills.
        models: what actors with models of their own load.
        batch_size: of these models.
        held: GPUs that replicas hold of a cluster that has so many, however few there are.
    """

    def __init__(
        self,
        settings: BackfillSettings,
        models: Models,
        batch_size: int,
        held: Callable[[float], float],
    ) -> None:
        self._settings = settings
        self._models = models
        self._batch_size = batch_size
        self._held = held

    async def drive(self, drive: Drive, chunks: list[Chunk]) -> Outcome:
        """Work through all chunks in an actor of its own.

        Raises:
            DriverDied: it went away, or its actors could not be started.
        """
        has = cluster_gpus()
        if problem := no_room(gpus_of(drive, self._settings, has), has, self._held(has)):
            return Outcome(halt=Halt.fatal, message=f"processing_error: {problem}")
        # It waits for others all the time, and takes no CPU from them.
        conductor: Any = ray.remote(Conductor).options(num_cpus=0, max_restarts=0).remote()
        try:
            outcome: Outcome = await conductor.conduct.remote(
                drive, chunks, self._settings, self._models, self._batch_size
            )
        except RayError as error:
            raise DriverDied(str(error)) from error
        finally:
            ray.kill(conductor)
        return outcome


class Conductor:
    """Hands the chunks out; the actor that lives as long as the drive does."""

    def conduct(
        self,
        drive: Drive,
        chunks: list[Chunk],
        settings: BackfillSettings,
        models: Models,
        batch_size: int,
    ) -> Outcome:
        """Have a pool of actors work through the chunks, up to the first that says why not."""
        done = 0
        for batch in planned(drive, chunks, settings, models, batch_size).iter_batches(
            batch_size=None, batch_format="numpy", prefetch_batches=0
        ):
            done += int(batch["items"].sum())
            for halt, message in zip(batch["halt"], batch["message"], strict=True):
                if halt:
                    return Outcome(done, Halt(str(halt)), str(message))
        return Outcome(done)


def planned(
    drive: Drive,
    chunks: list[Chunk],
    settings: BackfillSettings,
    models: Models,
    batch_size: int,
) -> "ray.data.Dataset":
    """The data set whose rows are what became of each chunk."""
    # Here: a runner that drives nothing has no use for it.
    import ray.data

    context = ray.data.DataContext.get_current()
    # Progress is told by rows, not on a terminal that nobody sees.
    context.enable_progress_bars = False
    references = [{"first": chunk.first, "last": chunk.last} for chunk in chunks]
    # A block for each, so that whoever is free takes the next one.
    source = ray.data.from_items(references, override_num_blocks=len(references))
    pool = ray.data.ActorPoolStrategy(
        size=min(drive.actors, len(chunks)),
        max_tasks_in_flight_per_actor=IN_FLIGHT,
        max_concurrent_calls_per_actor=IN_FLIGHT,
        enable_true_multi_threading=True,
    )
    return source.map_batches(
        BulkActor,
        fn_constructor_kwargs={"drive": drive, "models": models, "batch_size": batch_size},
        # Of chunks: what a model takes at a time is the engine's own business.
        batch_size=1,
        batch_format="numpy",
        compute=pool,
        num_cpus=settings.num_cpus,
        num_gpus=gpus_of(drive, settings, cluster_gpus()) or None,
    )


def cluster_gpus() -> float:
    """GPUs of all nodes."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return float(resources.get("GPU", 0.0))


def gpus_of(drive: Drive, settings: BackfillSettings, has: float) -> float:
    """The share of a GPU that an actor takes: none where models answer elsewhere, or have none."""
    return settings.num_gpus if has > 0 and drive.engine is BackfillEngine.inprocess else 0.0


def no_room(share: float, has: float, held: float) -> str | None:
    """Why no actor would ever start; None: one finds room, now or when others are done."""
    if share <= has - held + 1e-6:
        return None
    return (
        f"A backfill's own models ask for {share:g} of a GPU, and beside the replicas' "
        f"{held:g} of {has:g} that is not left: use the engine `online`, or lower "
        "RAYSCRIBE_BACKFILL_NUM_GPUS or the replicas' RAYSCRIBE_REPLICAS_…_GPUS."
    )
