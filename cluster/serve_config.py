"""What Ray Serve is told to run: applications by import path, the HTTP door, the logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.resources import application_policy
from cluster.settings import (
    ApiSettings,
    LogSettings,
    ScalingSettings,
    Settings,
    TelemetrySettings,
)

SPAN_PROCESSORS = "cluster.telemetry.exporter:span_processors"
"""What Serve calls in each of its processes where there are traces."""


@dataclass(frozen=True, slots=True)
class Application:
    """A Serve application; without a route prefix it is reached by handles only."""

    name: str
    import_path: str
    route_prefix: str | None
    scaled: bool = False
    """Whether the number of its replicas follows what there is to do."""


APPLICATIONS = (
    Application("pipelines", "pipelines.app:build", None, scaled=True),
    Application("api", "api.app:build", "/"),
)
LANGUAGE = Application("language", "serving.language_app:build", None, scaled=True)
"""The language model inside the cluster, where there is one: nothing else needs it to run."""


def serve_config(
    api: ApiSettings,
    logs: LogSettings,
    log_dir: Path | None,
    applications: Sequence[Application] = APPLICATIONS,
    *,
    scaling: ScalingSettings | None = None,
    telemetry: TelemetrySettings | None = None,
    changes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The body of `PUT /api/serve/applications/` (Ray's ServeDeploySchema).

    Args:
        api: Where the door is.
        logs: In which form Serve logs.
        log_dir: Where Serve writes its logs; None: in Ray's session folder.
        applications: What runs.
        scaling: How replicas follow the work; None: by requests, as is Serve's default.
        telemetry: Where traces go; None: nowhere.
        changes: Settings that are other than in the nodes' environment; no secrets, for Ray's
            dashboard shows them.
    """
    return {
        "proxy_location": "EveryNode" if api.every_node else "HeadOnly",
        "http_options": {
            "host": api.host,
            "port": api.port,
            # No limit: event streams and downloads of long recordings outlive any.
            "request_timeout_s": None,
        },
        "logging_config": {
            "encoding": "JSON" if logs.log_format == "json" else "TEXT",
            "log_level": logs.log_level,
            "logs_dir": str(log_dir) if log_dir else None,
        },
        "tracing_config": _tracing(telemetry),
        "applications": [_entry(one, scaling, changes or {}) for one in applications],
    }


def _tracing(telemetry: TelemetrySettings | None) -> dict[str, Any]:
    if telemetry is None or telemetry.otlp_endpoint is None:
        return {"enabled": False}
    # The endpoint and its headers are in the environment of the nodes.
    return {
        "enabled": True,
        "exporter_import_path": SPAN_PROCESSORS,
        "sampling_ratio": telemetry.trace_ratio,
    }


def _entry(
    application: Application, scaling: ScalingSettings | None, changes: Mapping[str, str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": application.name,
        "import_path": application.import_path,
        "route_prefix": application.route_prefix,
        # Builders read Settings from the environment: secrets do not belong in arguments.
        "args": {},
    }
    if application.scaled and scaling is not None:
        entry["autoscaling_policy"] = application_policy(scaling)
    if changes:
        entry["runtime_env"] = {"env_vars": dict(changes)}
    return entry


def cluster_config(settings: Settings) -> dict[str, Any]:
    """The same for a cluster whose nodes have these settings in their environment."""
    applications = (*APPLICATIONS, LANGUAGE) if settings.language.local else APPLICATIONS
    return serve_config(
        settings.api,
        settings.logs,
        None,
        applications,
        scaling=settings.scaling,
        telemetry=settings.telemetry,
    )
