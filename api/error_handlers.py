"""Turns every exception that reaches the edge into the one error body."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy import exc as sql
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from api.errors import ERRORS, ApiError, ErrorType, problem_response
from api.idempotency import REPLAYED_HEADER, Replayed
from api.request_context import request_id_of
from api.security import invalid_token
from cluster.egress import EgressRefused, EgressUnreachable
from db.errors import FenceLost, NameTaken, NotFound, StoreBusy, StoreUnavailable
from db.guards import GuardsExhausted
from pipelines.errors import (
    DownloadActive,
    FileExists,
    IllegalTransition,
    NotConfigured,
    PromptInvalid,
    QueueFull,
    QuotaExceeded,
    SpeakerRefused,
    TaskActive,
)
from serving.errors import SpeechError

logger = structlog.get_logger(__name__)

DATABASE_GONE: tuple[type[Exception], ...] = (
    sql.OperationalError,
    sql.InterfaceError,
    sql.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
)
"""What SQLAlchemy and asyncpg raise when the server is away; the latter's are not wrapped."""

HTTP_ERRORS: Mapping[int, ErrorType] = {
    400: ErrorType.bad_request,
    401: ErrorType.not_authenticated,
    403: ErrorType.forbidden,
    404: ErrorType.not_found,
    405: ErrorType.method_not_allowed,
    411: ErrorType.length_required,
    413: ErrorType.body_too_large,
    416: ErrorType.range_not_satisfiable,
}

TABLE: Mapping[type[Exception], ErrorType] = {
    NotFound: ErrorType.not_found,
    NameTaken: ErrorType.name_taken,
    IllegalTransition: ErrorType.conflict,
    FenceLost: ErrorType.conflict,
    SpeakerRefused: ErrorType.conflict,
    PromptInvalid: ErrorType.prompt_invalid,
    GuardsExhausted: ErrorType.server_busy,
    EgressRefused: ErrorType.url_refused,
    EgressUnreachable: ErrorType.url_refused,
    FileExists: ErrorType.duplicate_file,
    DownloadActive: ErrorType.duplicate_file,
    NotConfigured: ErrorType.not_configured,
    TaskActive: ErrorType.conflict,
    QuotaExceeded: ErrorType.quota_exceeded,
    QueueFull: ErrorType.queue_full,
    # Before what it is a kind of.
    StoreBusy: ErrorType.server_busy,
    StoreUnavailable: ErrorType.store_unavailable,
    **dict.fromkeys(DATABASE_GONE, ErrorType.store_unavailable),
}
"""Exceptions of the lower floors; a SpeechError names its error type itself."""

OF_NOBODY = "_user_id_user"
"""Ends the names of constraints that say whose a row is: the account was deleted meanwhile."""

OPAQUE: Mapping[ErrorType, str] = {
    ErrorType.internal_error: "Something went wrong on our side.",
    ErrorType.processing_error: "Something went wrong on our side.",
    ErrorType.server_busy: "Others of your requests, or of everybody's, are still worked on.",
    ErrorType.store_unavailable: "A store that this request needs does not answer.",
    ErrorType.speech_unavailable: "A speech service that this request needs does not answer.",
}
"""What the caller is told where the exception's own text names hosts and paths: that is logged."""


def api_error(error: Exception) -> ApiError:
    """What a caller is told about an exception."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, sql.IntegrityError) and OF_NOBODY in str(error.orig):
        return invalid_token()
    if isinstance(error, SpeechError):
        error_type = ErrorType(error.code)
    else:
        known = (answer for kind, answer in TABLE.items() if isinstance(error, kind))
        error_type = next(known, ErrorType.internal_error)
    headers: dict[str, str] = {}
    members: dict[str, Any] = {}
    if isinstance(error, QueueFull | QuotaExceeded):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, FileExists):
        members["existing_file_id"] = str(error.file_id)
    if isinstance(error, DownloadActive | TaskActive):
        members["task_id"] = str(error.task_id)
    return ApiError(error_type, OPAQUE.get(error_type, str(error)), headers=headers, **members)


def respond(request: Request, error: ApiError, status: int | None = None) -> Response:
    """The response of a refusal of this request."""
    return problem_response(
        error,
        instance=request.url.path,
        request_id=request_id_of(request.scope),
        status=status,
    )


async def refused(request: Request, error: Exception) -> Response:
    """Handle what the table knows, and log what is our fault."""
    answer = api_error(error)
    if ERRORS[answer.error_type].status == 500:
        logger.error("request failed", path=request.url.path, exc_info=error)
    elif answer.error_type in OPAQUE:
        logger.error("something did not answer", path=request.url.path, error=repr(error))
    return respond(request, answer)


async def replayed(_: Request, error: Exception) -> Response:
    """Send the answer that an earlier request with the same Idempotency-Key got."""
    if not isinstance(error, Replayed):
        raise error
    return JSONResponse(error.body, error.status_code, {REPLAYED_HEADER: "true"})


async def http_error(request: Request, error: Exception) -> Response:
    """Handle Starlette's own: unknown path, wrong method, unreadable body."""
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    fallback = ErrorType.internal_error if status >= 500 else ErrorType.bad_request
    answer = ApiError(
        HTTP_ERRORS.get(status, fallback), str(error.detail), headers=error.headers or {}
    )
    return respond(request, answer, status)


async def invalid(request: Request, error: Exception) -> Response:
    """Handle input that does not fit; the input itself is not repeated (it may be a password)."""
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [_field_error(item) for item in error.errors()]
    first = f"{errors[0]['pointer']}: {errors[0]['detail']}" if errors else "Invalid input"
    return respond(request, ApiError(ErrorType.validation_error, first, errors=errors))


def _field_error(item: Mapping[str, Any]) -> dict[str, str]:
    where, *path = item["loc"]
    escaped = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    message = str(item["msg"]).removeprefix("Value error, ")
    # The path may hold keys that the caller made up; JSON must be able to carry them.
    pointer = "/".join(["#", *escaped]).encode("utf-8", "replace").decode()
    return {"in": str(where), "pointer": pointer, "detail": message, "type": str(item["type"])}


def install(app: FastAPI) -> None:
    """Register the handlers; what nothing here knows ends in api.request_context as a 500."""
    for kind in (ApiError, SpeechError, sql.IntegrityError, *TABLE):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(Replayed, replayed)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
