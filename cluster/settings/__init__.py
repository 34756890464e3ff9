"""Settings: every knob, in groups, read from the environment at the composition roots only.

The seed's names (`WHISPER_MODEL`, `DATABASE_URL`, `MINIO_ENDPOINT` …) are kept; our own carry the
prefix `RAYSCRIBE_`. Everybody else receives the small group it needs as a parameter.
"""

from cluster.settings.backfill import BackfillSettings, YieldTo
from cluster.settings.base import MIB, Count, Group, Seconds, seed
from cluster.settings.door import ApiSettings, AuthSettings, MediaSettings, OidcSettings
from cluster.settings.language import LanguageSettings, LlmProvider
from cluster.settings.models import Profile, ReplicaSettings, SpeechSettings
from cluster.settings.outside import DownloadSettings, EgressSettings
from cluster.settings.scaling import ScalingSettings
from cluster.settings.search import SearchSettings
from cluster.settings.stores import DatabaseSettings, ObjectSettings, PathSettings
from cluster.settings.telemetry import PriceSettings, TelemetrySettings
from cluster.settings.voices import VoiceSettings
from cluster.settings.work import (
    LogSettings,
    MaintenanceSettings,
    QueueSettings,
    RaySettings,
    RunnerSettings,
)

__all__ = [
    "MIB",
    "ApiSettings",
    "AuthSettings",
    "BackfillSettings",
    "Count",
    "DatabaseSettings",
    "DownloadSettings",
    "EgressSettings",
    "Group",
    "LanguageSettings",
    "LlmProvider",
    "LogSettings",
    "MaintenanceSettings",
    "MediaSettings",
    "ObjectSettings",
    "OidcSettings",
    "PathSettings",
    "PriceSettings",
    "Profile",
    "QueueSettings",
    "RaySettings",
    "ReplicaSettings",
    "RunnerSettings",
    "ScalingSettings",
    "SearchSettings",
    "Seconds",
    "Settings",
    "SpeechSettings",
    "TelemetrySettings",
    "VoiceSettings",
    "YieldTo",
    "seed",
]


class Settings:
    """All groups, each read from the environment once."""

    def __init__(self) -> None:
        self.paths = PathSettings()
        self.database = DatabaseSettings()
        self.objects = ObjectSettings()
        self.search = SearchSettings()
        self.auth = AuthSettings()
        self.oidc = OidcSettings()
        self.api = ApiSettings()
        self.media = MediaSettings()
        self.speech = SpeechSettings()
        self.replicas = ReplicaSettings()
        self.scaling = ScalingSettings()
        self.voices = VoiceSettings()
        self.language = LanguageSettings()
        self.egress = EgressSettings()
        self.download = DownloadSettings()
        self.runner = RunnerSettings()
        self.queue = QueueSettings()
        self.backfill = BackfillSettings()
        self.maintenance = MaintenanceSettings()
        self.ray = RaySettings()
        self.logs = LogSettings()
        self.telemetry = TelemetrySettings()
        self.prices = PriceSettings()
        _check_together(self.auth, self.maintenance)


def _check_together(auth: AuthSettings, maintenance: MaintenanceSettings) -> None:
    """Refuse what each group cannot see alone."""
    kept_minutes = maintenance.sign_in_retention_days * 24 * 60
    if auth.max_lockout_minutes > kept_minutes:
        raise ValueError(
            f"RAYSCRIBE_MAX_LOCKOUT_MINUTES={auth.max_lockout_minutes} is longer than attempts to "
            f"sign in are kept, {kept_minutes} minutes: locks would end early. Raise "
            "RAYSCRIBE_MAINTENANCE_SIGN_IN_RETENTION_DAYS, or lower it"
        )
