"""What the API answers when it refuses: the closed list of error types and the one error body.

Light on purpose: Serve's proxy imports it too (api.body_limit).
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from api.error_catalogue import ERRORS, ErrorInfo
from api.error_types import ErrorType

__all__ = [
    "ERRORS",
    "ApiError",
    "ErrorInfo",
    "ErrorType",
    "RecordedError",
    "problem",
    "problem_response",
]

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/docs/errors#"


RETRY_AFTER_SECONDS = 5
RETRYABLE = {
    ErrorType.idempotency_in_progress,
    ErrorType.speech_unavailable,
    ErrorType.server_busy,
    ErrorType.store_unavailable,
    ErrorType.out_of_memory,
    ErrorType.deadline_exceeded,
    ErrorType.llm_unavailable,
    ErrorType.llm_rate_limited,
}


class ApiError(Exception):
    """A refusal: an error type, what happened, and further members of the body."""

    # Whether the transaction of the request is kept although it is refused.
    commits = False

    def __init__(
        self,
        error_type: ErrorType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.error_type = error_type
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


class RecordedError(ApiError):
    """A refusal that leaves a trace: what the request wrote before is committed."""

    commits = True


def problem(
    error_type: ErrorType, detail: str, *, instance: str, request_id: str, **members: Any
) -> dict[str, Any]:
    """The error body: the seed's three members and those of RFC 9457."""
    info = ERRORS[error_type]
    return {
        "detail": detail,
        "status_code": info.status,
        "error_type": error_type,
        "type": f"{TYPE_PREFIX}{error_type}",
        "title": info.title,
        "status": info.status,
        "instance": instance,
        "request_id": request_id,
        **members,
    }


def problem_response(
    error: ApiError, *, instance: str, request_id: str, status: int | None = None
) -> JSONResponse:
    """The response of a refusal; `status` where HTTP knows better than the table."""
    body = problem(
        error.error_type, error.detail, instance=instance, request_id=request_id, **error.members
    )
    if status is not None:
        body |= {"status": status, "status_code": status}
    headers = dict(error.headers)
    if error.error_type in RETRYABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if body["status"] == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return JSONResponse(body, body["status"], headers, MEDIA_TYPE)
