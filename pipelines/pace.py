"""How fast stages really are here, and how long one may take before it counts as stuck."""

from collections import defaultdict, deque

REMEMBERED = 50
"""Recordings whose times are kept, for each stage."""
MIN_SECONDS = 30.0
"""Shorter ones say more about overheads than about speed."""


class Pace:
    """Seconds per second of audio, stage by stage, as this runner has measured them."""

    def __init__(self, base_seconds: float, slack: float) -> None:
        self._base = base_seconds
        self._slack = slack
        self._measured: defaultdict[str, deque[float]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED)
        )

    def note(self, stage: str, audio_seconds: float, seconds: float) -> None:
        """So much audio was worked through; what an earlier attempt had done is not counted."""
        if audio_seconds >= MIN_SECONDS:
            self._measured[stage].append(seconds / audio_seconds)

    def deadline_seconds(self, stage: str, audio_seconds: float) -> float:
        """When a stage counts as stuck: `slack` times what the slowest of late took, and a base.

        The slowest, since others may be waiting for the same replicas. Before anything is measured,
        real time is assumed.
        """
        slowest = max(self._measured[stage], default=1.0)
        return self._base + self._slack * slowest * audio_seconds
