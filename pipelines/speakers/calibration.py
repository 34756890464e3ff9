"""What a cosine between two voiceprints of a model means. Figures: docs/benchmarks.md."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from cluster.settings import VoiceSettings


class Level(StrEnum):
    """How sure it is that two voices are one person's."""

    high = "high"
    medium = "medium"
    low = "low"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds on true cosine for one embedding model."""

    high: float
    medium: float
    clustering: float
    """Mean cosine from which groups of unnamed voices are joined."""
    auto_accept: bool
    """Whether the error rates at `high` carry naming somebody without asking."""

    def level(self, similarity: float) -> Level:
        """What a cosine says."""
        if similarity >= self.high:
            return Level.high
        return Level.medium if similarity >= self.medium else Level.low


UNMEASURED = Calibration(high=0.75, medium=0.50, clustering=0.75, auto_accept=False)
"""For a model without figures: the thresholds of the system that this one replaces."""

MEASURED: Mapping[str, Calibration] = {
    # `python -m tests.bench voices`. At `medium` all pairs of one person in two recordings are
    # found (clips of 10 s and more) and one or two of a thousand pairs of strangers are let in; at
    # `high` none is, of 78 voices. `clustering` is higher than `medium`, since a library has
    # many more pairs of strangers than of one person. Nobody is named unasked: seven persons heard
    # in two recordings are too few to say how often that would be wrong.
    "campplus-zh-en-common@92f29b94": Calibration(
        high=0.65, medium=0.50, clustering=0.60, auto_accept=False
    ),
}
"""By the identity of the embedding model."""


def calibration(model: str, settings: VoiceSettings) -> Calibration:
    """The thresholds for a model's voiceprints, as measured unless the operator set others."""
    found = MEASURED.get(model, UNMEASURED)
    return replace(
        found,
        high=found.high if settings.high is None else settings.high,
        medium=found.medium if settings.medium is None else settings.medium,
        auto_accept=found.auto_accept if settings.auto_accept is None else settings.auto_accept,
    )
