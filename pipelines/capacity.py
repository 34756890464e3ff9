"""How much a runner may have under way: what keeps the replicas that there are busy. Arithmetic."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from cluster.settings import RunnerSettings
from serving.speech import WINDOW_SECONDS

CountReplicas = Callable[[], Awaitable[Mapping[str, int]]]
"""How many replicas of each role answer now."""

REPLICAS = {
    "transcribe": "transcriber",
    "align": "aligner",
    "diarize": "speaker_segmenter",
    "embed": "speaker_embedder",
}
"""Stages that are worked through part by part, and the role that each one's parts wait for."""
SPANS = frozenset({"diarize", "embed"})
"""Stages whose parts are spans: ten times as long as windows, so fewer are under way."""
IN_HAND = 4
"""Times the windows under way: with so many windows in its tasks a runner has all that it needs,
while some are being decoded, diarized and stored."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one of several runners may have under way."""

    settings: RunnerSettings
    batch_size: int
    """Windows that a replica takes at a time."""
    replicas: Mapping[str, int]
    """Of each role; one that is not named is taken for one: it has just been asked for."""

    def parts(self, stage: str) -> int:
        """Parts of a stage, of all tasks together."""
        settings = self.settings
        if stage in SPANS:
            each, most = settings.spans_per_replica, settings.max_outstanding_spans
        else:
            each = settings.batches_per_replica * self.batch_size
            most = settings.max_outstanding_windows
        return min(most, math.ceil(each * self._share(REPLICAS[stage])))

    @property
    def tasks(self) -> int:
        """Tasks about recordings."""
        return math.ceil(self.settings.max_tasks * self._scale)

    def tasks_per_user(self, audio_seconds: Iterable[float]) -> int:
        """Tasks of one user, over all runners; `audio_seconds`: of those in this one's hands.

        A user's many short recordings may fill all replicas; of long ones a few do, and more would
        only keep places from others.
        """
        windows = sum(max(1, math.ceil(seconds / WINDOW_SECONDS)) for seconds in audio_seconds)
        if windows >= IN_HAND * self.parts("transcribe"):
            return self.settings.max_tasks_per_user
        return math.ceil(self.settings.max_tasks_per_user * self._scale)

    def _share(self, role: str) -> Fraction:
        """Replicas of a role that are this runner's to keep busy; exact, since it is rounded up."""
        return Fraction(max(1, self.replicas.get(role, 1)), self.settings.replicas)

    @property
    def _scale(self) -> Fraction:
        return max(Fraction(1), self._share("transcriber"))
