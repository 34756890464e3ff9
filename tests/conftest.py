"""Imports fixtures; counts and shows what a run left out."""

from tests.fixtures.stack import real_stack, stack
from tests.fixtures.stores import (
    database_url,
    guards,
    object_server,
    object_settings,
    objects,
    postgres_server,
    sessions,
)

__all__ = [
    "database_url",
    "guards",
    "object_server",
    "object_settings",
    "objects",
    "postgres_server",
    "real_stack",
    "sessions",
    "stack",
]
