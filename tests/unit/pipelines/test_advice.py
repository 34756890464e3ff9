"""What users are told of failed tasks: nothing with which a task can fail is missing."""

import ast
from pathlib import Path
from typing import Any

import pytest

import pipelines
import serving.errors
from api.errors import ErrorType
from pipelines.advice import ADVICE, UNKNOWN, ErrorCategory, advice_on
from pipelines.attempt import UNEXPECTED
from pipelines.downloads.failures import SAID
from pipelines.recovery import LOST_TYPE
from pipelines.task_state import EXHAUSTED
from serving.errors import SpeechError

SPEECH_ERRORS = [
    kind
    for kind in vars(serving.errors).values()
    if isinstance(kind, type) and issubclass(kind, SpeechError)
]


FAILURES = {"self._failed", "Failure", "TaskFailed"}


def written_out() -> set[Any]:
    """Error types that stand as text where a failure is made on this floor."""
    found = set()
    for path in Path(pipelines.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in FAILURES:
                first = node.args[0] if node.args else node.keywords[0].value
                if isinstance(first, ast.Constant):
                    found.add(first.value)
    return found


def test_no_error_type_of_a_task_is_missing():
    codes = {kind.code for kind in SPEECH_ERRORS} | written_out() | set(SAID)
    assert codes | {EXHAUSTED, UNEXPECTED, LOST_TYPE} == set(ADVICE)


def test_every_one_is_of_the_closed_list():
    assert set(ADVICE) <= {error_type.value for error_type in ErrorType}


@pytest.mark.parametrize("advice", [*ADVICE.values(), UNKNOWN])
def test_each_says_what_happened_whether_a_retry_helps_and_what_to_do(advice):
    assert advice.happened.endswith(".")
    assert "retry" in advice.outlook
    assert 1 <= len(advice.suggestions) <= 5
    assert all(suggestion[-1] in ".?" for suggestion in advice.suggestions)
    assert isinstance(advice.category, ErrorCategory)


@pytest.mark.parametrize("kind", [kind for kind in SPEECH_ERRORS if kind.retryable])
def test_what_the_runner_tries_again_can_be_retried(kind):
    assert advice_on(kind.code).retryable


@pytest.mark.parametrize("error_type", [None, "", "of_another_version"])
def test_what_nobody_knows_is_said_to_be_unknown(error_type):
    assert advice_on(error_type) is UNKNOWN
