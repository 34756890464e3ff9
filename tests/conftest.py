"""Fixtures of all suites: real stores, the API over them, a runner, a whole service."""

from hypothesis import settings

# Tests assert, they do not time: a busy machine is no failure.
settings.register_profile("rayscribe", deadline=None)
settings.load_profile("rayscribe")

pytest_plugins = [
    "tests.fixtures.api",
    "tests.fixtures.events",
    "tests.fixtures.llm_servers",
    "tests.fixtures.oidc",
    "tests.fixtures.runner",
    "tests.fixtures.stack",
    "tests.fixtures.stores",
]
