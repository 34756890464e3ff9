"""The OpenAPI document itself: valid, complete in words, its examples true, its change visible."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from api.openapi_snapshot import SNAPSHOT, rendered
from tests.contract.document import Json, document, operations
from tests.contract.test_authorisation import NO_IDS

MAX_SUMMARY = 60
ROOT = Path(__file__).parents[2]


def schemas() -> dict[str, Json]:
    found: dict[str, Json] = document()["components"]["schemas"]
    return found


def validator(schema: Json) -> Draft202012Validator:
    """A validator that finds what the schema refers to."""
    return Draft202012Validator({**schema, "components": document()["components"]})


def faults(schema: Json, example: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in validator(schema).iter_errors(example)
    ]


def test_it_is_valid():
    validate(document())


def test_the_snapshot_is_up_to_date():
    assert (ROOT / SNAPSHOT).read_text() == rendered(), (
        f"the contract changed: python -m api.openapi_snapshot > {SNAPSHOT}, and read its diff"
    )


def test_every_field_is_described():
    silent = [
        f"{name}.{field}"
        for name, schema in schemas().items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert not silent


def test_every_schema_is_described():
    assert not [name for name, schema in schemas().items() if not schema.get("description")]


def test_every_parameter_is_described():
    silent = [
        f"{operation.name}: {parameter['name']}"
        for operation in operations()
        for parameter in operation.described.get("parameters", [])
        if not (parameter.get("description") or parameter["schema"].get("description"))
    ]
    assert not silent


def test_examples_of_schemas_validate():
    wrong = {
        name: found
        for name, schema in schemas().items()
        for example in schema.get("examples", [])
        if (found := faults(schema, example))
    }
    assert not wrong


def test_examples_of_refusals_validate():
    schema = {"$ref": "#/components/schemas/Problem"}
    wrong = {
        name: found
        for name, example in document()["components"]["examples"].items()
        if (found := faults(schema, example["value"]))
    }
    assert not wrong


def test_summaries_are_titles():
    for operation in operations():
        summary = operation.described["summary"]
        assert len(summary) <= MAX_SUMMARY, operation.name
        assert not summary.endswith("."), operation.name
        assert summary[0].isupper(), operation.name


def test_every_tag_is_described():
    declared = {tag["name"]: tag["description"] for tag in document()["tags"]}
    used = {tag for operation in operations() for tag in operation.described["tags"]}
    assert used == set(declared)
    assert all(declared.values())


def test_every_schema_is_used():
    text = json.dumps(document())
    unused = [name for name in schemas() if f'"#/components/schemas/{name}"' not in text]
    assert not unused


@pytest.mark.parametrize("status", ["401", "404", "422"])
def test_what_a_route_of_an_id_refuses_is_listed(status: str):
    for operation in operations():
        if set(operation.ids) - NO_IDS.keys() and operation.described["security"]:
            assert status in operation.described["responses"], operation.name
