"""The OpenAPI document: which errors a route gives, and what the error body looks like."""

import json
from collections import defaultdict
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from api.errors import ERRORS, MEDIA_TYPE, TYPE_PREFIX, ErrorType, problem
from api.openapi_completion import TAGS, complete
from api.schemas import EXAMPLE_ID

Responses = dict[int | str, dict[str, Any]]


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    in_: str = Field(
        alias="in", description="Where it is: body, query, path or header", examples=["body"]
    )
    pointer: str = Field(description="JSON pointer to the field", examples=["#/max_speakers"])
    detail: str = Field(description="What is wrong with it")
    type: str = Field(description="The rule that it breaks")


class Problem(BaseModel):
    """The body of every refusal (RFC 9457), for people in `detail`, for programs in `error_type`.

    Some error types add members; `docs/api-errors.md` describes each type.
    """

    detail: str = Field(description="What happened, for people")
    status_code: int = Field(description="The HTTP status")
    error_type: ErrorType = Field(description="What kind of refusal it is, for programs")
    type: str = Field(description="Where the error type is described")
    title: str = Field(description="The error type in words")
    status: int = Field(description="The HTTP status, as RFC 9457 names it")
    instance: str = Field(description="The path that was asked for")
    request_id: str = Field(description="What operators find in the log")
    errors: list[FieldProblem] | None = Field(None, description="Each field that is wrong")

    model_config = ConfigDict(extra="allow")


def errors(*types: ErrorType) -> Responses:
    """The `responses` of a route that may refuse with these types."""
    by_status: dict[int, list[ErrorType]] = defaultdict(list)
    for error_type in dict.fromkeys(types):
        by_status[ERRORS[error_type].status].append(error_type)
    return {status: _response(members) for status, members in sorted(by_status.items())}


def _response(types: list[ErrorType]) -> dict[str, Any]:
    examples = {one.value: {"$ref": f"#/components/examples/{one.value}"} for one in types}
    return {
        "description": ", ".join(f"[`{item}`]({TYPE_PREFIX}{item})" for item in types),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
    }


SIGNED_IN_TYPES = (ErrorType.not_authenticated, ErrorType.invalid_token)
SIGNED_IN = errors(*SIGNED_IN_TYPES)
"""For routes that need an access token and can refuse for no other reason."""


STORES = (ErrorType.store_unavailable, ErrorType.server_busy)
"""Every route reads PostgreSQL, and may have to wait there for somebody else's work."""
BODIES = (
    ErrorType.bad_request,
    ErrorType.body_too_slow,
    ErrorType.length_required,
    ErrorType.body_too_large,
)
"""Refused before a route sees its body."""

ADMIN_TYPES = (*SIGNED_IN_TYPES, ErrorType.forbidden)
"""Error types of every route that only administrators may use."""


def owned_errors(*types: ErrorType) -> Responses:
    """The same for routes that need an access token and name something by its id."""
    return errors(*SIGNED_IN_TYPES, ErrorType.not_found, ErrorType.validation_error, *types)


def _refusal_example(error_type: ErrorType) -> dict[str, Any]:
    advice = ERRORS[error_type].advice
    body = problem(error_type, advice, instance="/api/…", request_id=EXAMPLE_ID)
    return {"summary": ERRORS[error_type].title, "value": body}


def _refusal_examples(document: dict[str, Any]) -> dict[str, Any]:
    """Of the types that a route may refuse with; others are seen on failed tasks only."""
    routes = json.dumps(document["paths"])
    used = [one for one in ErrorType if f'"#/components/examples/{one.value}"' in routes]
    return {one.value: _refusal_example(one) for one in used}


def _add_general_refusals(path: str, operation: dict[str, Any]) -> None:
    """What every route may refuse with, and every route that takes a body."""
    types = list(STORES) if path.startswith("/api") else []
    if "requestBody" in operation:
        types += BODIES
    responses = operation["responses"]
    for status, response in errors(*types).items():
        listed = responses.setdefault(str(status), response)
        examples = listed["content"][MEDIA_TYPE]["examples"]
        for name, example in response["content"][MEDIA_TYPE]["examples"].items():
            if name not in examples:
                examples[name] = example
                listed["description"] += f", {response['description']}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once, with the error body among its schemas."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=[{"name": name, "description": meaning} for name, meaning in TAGS.items()],
        )
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(schema.pop("$defs"))
        schemas["Problem"] = schema
        for path, methods in document["paths"].items():
            for operation in methods.values():
                _add_general_refusals(path, operation)
        document["components"]["examples"] = _refusal_examples(document)
        complete(document)
        app.openapi_schema = document
    return app.openapi_schema
