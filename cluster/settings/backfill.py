"""Settings of backfills: one stage over many files, in actors of their own."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import Count, Group, Seconds


class YieldTo(StrEnum):
    """When a backfill holds back for users' recordings."""

    running = "running"
    """While any of live or interactive work waits or runs: where both share the hardware."""
    waiting = "waiting"
    """While any waits: where backfills have hardware of their own, or use the online replicas."""


class BackfillSettings(Group):
    """Actors that work through many files, and what they leave to users who wait."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_BACKFILL_", extra="ignore", frozen=True, populate_by_name=True
    )

    max_actors: Count = 2
    """Actors of a backfill, at most; one of them with models of its own (`inprocess`) takes as much
    memory as one replica of each role."""
    tasks_per_actor: Count = 2
    """Files that one actor works on at a time: one is decoded while another's windows are with the
    models."""
    num_cpus: Annotated[float, Field(ge=0)] = 0.1
    """Logical CPUs that an actor takes of the cluster: with whole ones none would start beside the
    replicas of a small machine."""
    num_gpus: Annotated[float, Field(ge=0)] = 0.5
    """The share of a GPU that an actor with models of its own takes, where the cluster has any."""
    chunk_items: Count = 8
    """Files that an actor is given at a time: fewer, and it waits for more; more, and the last
    actor has long to do when the others are done."""
    yield_to: YieldTo = YieldTo.running
    """`running`: hold back while any live or interactive work waits or runs; `waiting`: only while
    it waits."""
    yield_seconds: Seconds = 1
    """How often it is looked whether users' work has come or is over."""
    longest_yield_seconds: Seconds = 60
    """So long one window or file of a backfill holds back at most: under any load it goes on."""
    outage_seconds: Seconds = 900
    """A store that is away for longer stops the backfill; `resume` goes on with it."""
    driver_restarts: Count = 3
    """How often in a row a driver that died before any file was done is started again."""
    audio_bits_per_second: Count = 64_000
    """What recordings to be imported are reckoned with until they are decoded: a plan knows only
    their bytes."""
    import_buckets: str = ""
    """Buckets of the object store, separated by commas, from which administrators may import.
    Below `import/` in the service's own bucket they always may."""
