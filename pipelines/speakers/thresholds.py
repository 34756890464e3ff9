"""The thresholds of all models at once, as questions to the database need them."""

from cluster.settings import VoiceSettings
from db.queries.speaker_status import Thresholds
from pipelines.speakers.calibration import MEASURED, calibration

UNKNOWN = ""
"""No model is called so."""


def suggested(settings: VoiceSettings) -> Thresholds:
    """From which cosine on a name is suggested, by embedding model."""
    return Thresholds(
        by_model={model: calibration(model, settings).medium for model in MEASURED},
        otherwise=calibration(UNKNOWN, settings).medium,
    )
