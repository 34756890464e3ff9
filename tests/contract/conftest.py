"""The API's fixtures, for the tests beside this file."""

from tests.fixtures.api import (
    anonymous,
    api_settings,
    app,
    auth_settings,
    client,
    long_recording,
    presigned_services,
    prober,
    queue_settings,
    recording,
    services,
    speech_health,
    stranger,
)

__all__ = [
    "anonymous",
    "api_settings",
    "app",
    "auth_settings",
    "client",
    "long_recording",
    "presigned_services",
    "prober",
    "queue_settings",
    "recording",
    "services",
    "speech_health",
    "stranger",
]
