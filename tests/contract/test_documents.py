"""Documents that are made from the code are those that the code makes now."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from api import route_docs
from cluster.settings import Group
from cluster.settings_docs import variables, with_settings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_routes_are_up_to_date():
    document = DOCS / "routes.md"
    assert document.read_text() == route_docs.markdown(), (
        "run: python -m api.route_docs > docs/routes.md"
    )


def test_the_document_has_every_route_of_the_application(app: FastAPI):
    listed = route_docs.markdown()
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            assert f"| {method.upper()} | `{path}` |" in listed


def test_the_settings_are_up_to_date():
    document = (DOCS / "operations.md").read_text()
    assert document == with_settings(document), (
        "run: python -m cluster.settings_docs docs/operations.md"
    )


def test_every_setting_says_what_it_means_and_has_names_of_its_own():
    seen: set[str] = set()
    for group in Group.__subclasses__():
        assert group.__doc__
        for name, field in group.model_fields.items():
            assert field.description, f"{group.__name__}.{name}"
            names = set(variables(group, name, field))
            assert not names & seen, names & seen
            seen |= names


TOGETHER = {
    "RAYSCRIBE_OIDC_ISSUER": {
        "RAYSCRIBE_OIDC_ISSUER": "https://id.example.org",
        "RAYSCRIBE_OIDC_CLIENT_ID": "rayscribe",
        "RAYSCRIBE_OIDC_REDIRECT_URI": "https://rayscribe.example.org/api/auth/oidc/callback",
    },
    "RAYSCRIBE_LLM_CONTEXT_TOKENS": {"RAYSCRIBE_LLM_CONTEXT_TOKENS": "4096"},
    "RAYSCRIBE_OTLP_HEADERS": {"RAYSCRIBE_OTLP_HEADERS": "name=value"},
    "RAYSCRIBE_OTLP_ENDPOINT": {"RAYSCRIBE_OTLP_ENDPOINT": "http://127.0.0.1:4318/v1/traces"},
}
"""Variables that are refused alone, or with the value 1."""


def test_every_documented_variable_is_read(monkeypatch: pytest.MonkeyPatch):
    for group in Group.__subclasses__():
        for name, field in group.model_fields.items():
            for variable in variables(group, name, field):
                with monkeypatch.context() as environment:
                    value = "1" if field.default is None else str(field.default)
                    for named, its in TOGETHER.get(variable, {variable: value}).items():
                        environment.setenv(named, its)
                    assert name in group().model_fields_set, variable
