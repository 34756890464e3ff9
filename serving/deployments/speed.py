"""What a replica says to the autoscaler: how fast it is with full batches, how long it worked."""

from collections import deque
from typing import Protocol

REMEMBERED = 200
"""Batches by which the speed goes."""


class Batch(Protocol):
    """What is used of a BatchNote."""

    @property
    def items(self) -> int:
        """How many windows or spans it had."""
        ...

    @property
    def seconds(self) -> float:
        """How long it ran."""
        ...

    @property
    def audio_seconds(self) -> float:
        """How much audio it had."""
        ...


class Speed:
    """The speed of one replica.

    Args:
        threads: Batches that run at a time.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._batches: deque[Batch] = deque(maxlen=REMEMBERED)
        self._worked = 0.0

    def note(self, batch: Batch) -> None:
        """A batch has ended."""
        self._worked += batch.seconds / self._threads
        if batch.audio_seconds > 0:
            self._batches.append(batch)

    def stats(self) -> dict[str, float]:
        """Numbers for Serve's `record_autoscaling_stats`: see cluster.scaling_policy."""
        # Batches that lack items are slow for their audio: what a replica can do under load is
        # what its fuller half did, and by less the autoscaler would add ever more half-empty ones.
        fullest = sorted(self._batches, key=lambda batch: batch.items, reverse=True)
        fuller = fullest[: (len(fullest) + 1) // 2]
        return {
            "audio_seconds": sum(batch.audio_seconds for batch in fuller),
            "busy_seconds": sum(batch.seconds for batch in fuller) / self._threads,
            "worked_seconds": self._worked,
        }
