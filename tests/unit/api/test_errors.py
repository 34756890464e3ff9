"""The closed list of error types: complete, documented, the same everywhere."""

from pathlib import Path

import pytest

import serving.errors
from api.error_docs import markdown
from api.error_handlers import OPAQUE, TABLE, api_error
from api.errors import ERRORS, RETRYABLE, ApiError, ErrorType, problem_response
from db.errors import FenceLost, NotFound, StoreUnavailable
from pipelines.errors import IllegalTransition
from pipelines.task_state import EXHAUSTED
from serving.errors import SpeechError

DOCUMENT = Path(__file__).parents[3] / "docs" / "api-errors.md"


def speech_errors() -> list[type[SpeechError]]:
    kinds = [kind for kind in vars(serving.errors).values() if isinstance(kind, type)]
    return [kind for kind in kinds if issubclass(kind, SpeechError)]


def test_every_type_has_a_status_a_title_and_advice():
    assert set(ERRORS) == set(ErrorType)
    for info in ERRORS.values():
        assert 400 <= info.status < 600
        assert info.title
        assert info.advice.endswith(".")


@pytest.mark.parametrize("kind", speech_errors())
def test_every_speech_error_has_its_type(kind):
    assert ErrorType(kind.code).value == kind.code


@pytest.mark.parametrize("kind", [k for k in speech_errors() if k.retryable])
def test_what_may_pass_says_when_to_try_again(kind):
    answer = problem_response(api_error(kind()), instance="/", request_id="1")
    assert kind.code in RETRYABLE
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_dead_letter_has_a_type_too():
    assert ErrorType(EXHAUSTED).value == EXHAUSTED


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [
        (NotFound("file", "1"), 404, ErrorType.not_found),
        (StoreUnavailable("s3.internal:9000 is away"), 503, ErrorType.store_unavailable),
        (IllegalTransition("failed", "running"), 409, ErrorType.conflict),
        (FenceLost("task 1"), 409, ErrorType.conflict),
        (ConnectionRefusedError("10.0.0.1"), 503, ErrorType.store_unavailable),
        (serving.errors.AudioTooShort("0.05 s"), 422, ErrorType.audio_too_short),
        (serving.errors.MediaInvalid("text"), 422, ErrorType.invalid_media),
        (serving.errors.AudioTooLong("99 h"), 422, ErrorType.audio_too_long),
        (ValueError("secret"), 500, ErrorType.internal_error),
    ],
)
def test_what_lower_floors_raise(error, status, error_type):
    answer = api_error(error)
    assert answer.error_type is error_type
    assert ERRORS[answer.error_type].status == status
    if error_type in OPAQUE:
        assert str(error) not in answer.detail
    else:
        assert answer.detail == str(error)


def test_no_exception_of_the_table_hides_another():
    kinds = list(TABLE)
    for earlier, kind in enumerate(kinds):
        for later in kinds[earlier + 1 :]:
            assert not issubclass(later, kind) or TABLE[later] == TABLE[kind]


def test_members_of_an_error_stand_in_its_body():
    error = ApiError(ErrorType.duplicate_file, "There.", existing_file_id="7")
    body = bytes(problem_response(error, instance="/x", request_id="1").body)
    assert b'"existing_file_id":"7"' in body


def test_the_document_is_up_to_date():
    assert DOCUMENT.read_text() == markdown(), "run: python -m api.error_docs > docs/api-errors.md"
