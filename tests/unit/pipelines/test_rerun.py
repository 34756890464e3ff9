"""Options of a file's next task, and the status that follows from the latest one."""

import pytest

from db.models import FileStatus, TaskState
from pipelines.rerun import CHECKPOINTS, ReprocessStage, merged
from pipelines.task_state import file_status

LAST = {"language": "de", "task": "translate", "num_speakers": 2, "diarize": False}


@pytest.mark.parametrize(
    ("changes", "stages", "expected"),
    [
        ({}, [], LAST),
        ({"language": "auto"}, [], {**LAST, "language": "auto"}),
        ({"language": None}, [], {k: v for k, v in LAST.items() if k != "language"}),
        (
            {"max_speakers": 4},
            [],
            {"language": "de", "task": "translate", "max_speakers": 4, "diarize": False},
        ),
        ({"num_speakers": None}, [], {k: v for k, v in LAST.items() if k != "num_speakers"}),
        (
            {},
            [ReprocessStage.rediarize],
            {"language": "de", "task": "translate", "num_speakers": 2},
        ),
        ({}, [ReprocessStage.transcription], LAST),
    ],
)
def test_what_is_not_changed_stays(changes, stages, expected):
    assert merged(LAST, changes, stages) == expected


def test_every_stage_that_can_be_named_forgets_something():
    assert set(CHECKPOINTS) == set(ReprocessStage)
    assert all(CHECKPOINTS.values())


@pytest.mark.parametrize(
    ("latest", "with_transcript", "without"),
    [
        (TaskState.queued, FileStatus.queued, FileStatus.queued),
        (TaskState.running, FileStatus.processing, FileStatus.processing),
        (TaskState.cancelling, FileStatus.processing, FileStatus.processing),
        (TaskState.completed, FileStatus.completed, FileStatus.failed),
        (TaskState.failed, FileStatus.completed, FileStatus.failed),
        (TaskState.cancelled, FileStatus.completed, FileStatus.cancelled),
        (None, FileStatus.completed, FileStatus.failed),
    ],
)
def test_a_files_status_follows_from_its_latest_task_and_its_transcript(
    latest, with_transcript, without
):
    assert file_status(latest, has_transcript=True) is with_transcript
    assert file_status(latest, has_transcript=False) is without
