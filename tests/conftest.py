"""Fixtures of all suites: real stores, the API over them, a runner, a whole service."""

pytest_plugins = [
    "tests.fixtures.api",
    "tests.fixtures.events",
    "tests.fixtures.llm_servers",
    "tests.fixtures.oidc",
    "tests.fixtures.runner",
    "tests.fixtures.stack",
    "tests.fixtures.stores",
]
