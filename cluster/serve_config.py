"""What Ray Serve is told to run: applications by import path, the HTTP door, the logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.settings import ApiSettings, LogSettings

PROXY_MIDDLEWARES = "api.body_limit:middlewares"
"""Serve's proxy calls this for its ASGI middlewares: there, a body is refused before it is read."""


@dataclass(frozen=True, slots=True)
class Application:
    """A Serve application; without a route prefix it is reached by handles only."""

    name: str
    import_path: str
    route_prefix: str | None


APPLICATIONS = (
    Application("pipelines", "pipelines.app:build", None),
    Application("api", "api.app:build", "/"),
)
LANGUAGE = Application("language", "serving.language_app:build", None)
"""The language model inside the cluster, where there is one: nothing else needs it to run."""


def serve_config(
    api: ApiSettings,
    logs: LogSettings,
    log_dir: Path | None,
    applications: Sequence[Application] = APPLICATIONS,
) -> dict[str, Any]:
    """The body of `PUT /api/serve/applications/` (Ray's ServeDeploySchema).

    `log_dir`: where Serve writes its logs; None: in Ray's session folder.
    """
    return {
        "proxy_location": "HeadOnly",
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
        "applications": [
            {
                "name": application.name,
                "import_path": application.import_path,
                "route_prefix": application.route_prefix,
                # Builders read Settings from the environment: secrets do not belong in arguments.
                "args": {},
            }
            for application in applications
        ],
    }
