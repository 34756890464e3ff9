"""The OpenAPI document: which errors a route gives, and what the error body looks like."""

from collections import defaultdict
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from api.errors import ERRORS, MEDIA_TYPE, TYPE_PREFIX, ErrorType, problem
from api.schemas import EXAMPLE_ID

Responses = dict[int | str, dict[str, Any]]


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    in_: str = Field(alias="in", examples=["body"])
    pointer: str = Field(description="JSON pointer to the field", examples=["#/max_speakers"])
    detail: str
    type: str


class Problem(BaseModel):
    """The body of every refusal (RFC 9457), for people in `detail`, for programs in `error_type`.

    Some error types add members; `docs/api-errors.md` describes each type.
    """

    detail: str
    status_code: int
    error_type: ErrorType
    type: str = Field(description="Where the error type is described")
    title: str
    status: int
    instance: str
    request_id: str
    errors: list[FieldProblem] | None = None

    model_config = ConfigDict(extra="allow")


def errors(*types: ErrorType) -> Responses:
    """The `responses` of a route that may refuse with these types."""
    by_status: dict[int, list[ErrorType]] = defaultdict(list)
    for error_type in dict.fromkeys(types):
        by_status[ERRORS[error_type].status].append(error_type)
    return {status: _response(members) for status, members in sorted(by_status.items())}


def _response(types: list[ErrorType]) -> dict[str, Any]:
    examples = {
        error_type.value: {
            "summary": ERRORS[error_type].title,
            "value": problem(
                error_type, ERRORS[error_type].advice, instance="/api/…", request_id=EXAMPLE_ID
            ),
        }
        for error_type in types
    }
    return {
        "description": ", ".join(f"[`{item}`]({TYPE_PREFIX}{item})" for item in types),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
    }


SIGNED_IN_TYPES = (ErrorType.not_authenticated, ErrorType.invalid_token)
SIGNED_IN = errors(*SIGNED_IN_TYPES)
"""For routes that need an access token and can refuse for no other reason."""


ADMIN_TYPES = (*SIGNED_IN_TYPES, ErrorType.forbidden)
"""Error types of every route that only administrators may use."""


def owned_errors(*types: ErrorType) -> Responses:
    """The same for routes that need an access token and name something by its id."""
    return errors(*SIGNED_IN_TYPES, ErrorType.not_found, ErrorType.validation_error, *types)


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once, with the error body among its schemas."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(schema.pop("$defs"))
        schemas["Problem"] = schema
        app.openapi_schema = document
    return app.openapi_schema
