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
from tests.fixtures.events import ann, bob, port, relayed

__all__ = [
    "ann",
    "anonymous",
    "api_settings",
    "app",
    "auth_settings",
    "bob",
    "client",
    "long_recording",
    "port",
    "presigned_services",
    "prober",
    "queue_settings",
    "recording",
    "relayed",
    "services",
    "speech_health",
    "stranger",
]
