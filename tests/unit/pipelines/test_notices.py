"""What events say of tasks: a file's status for transcriptions, the work's own for summaries."""

import uuid

import pytest

from db.models import FileStatus, MediaFile, Task, TaskKind, TaskState
from pipelines.language import identify, summarize, topics
from pipelines.notices import STAGE_MESSAGES, Notice, about, message

FILE = MediaFile(
    id=uuid.uuid4(),
    filename="a.wav",
    content_type="audio/wav",
    size_bytes=1,
    status=FileStatus.completed,
)


def task(kind: TaskKind, state: TaskState, **values) -> Task:
    return Task(
        **{
            "id": uuid.uuid4(),
            "kind": kind,
            "state": state,
            "progress": 0.5,
            "attempt": 1,
            "result": {"version": 2},
            **values,
        }
    )


def test_a_transcription_tells_the_files_status():
    notice, data = about(task(TaskKind.transcription, TaskState.running), FILE)
    assert (notice, data["status"]) == (Notice.transcription_status, FileStatus.completed)
    assert "result" not in data


@pytest.mark.parametrize(
    ("state", "error", "status"),
    [
        (TaskState.queued, None, "pending"),
        (TaskState.running, None, "processing"),
        (TaskState.cancelling, None, "processing"),
        (TaskState.completed, None, "completed"),
        (TaskState.cancelled, None, "cancelled"),
        (TaskState.failed, "llm_failed", "failed"),
        (TaskState.failed, "not_configured", "not_configured"),
    ],
)
@pytest.mark.parametrize("kind", ["summarization", "speaker_identification", "topic_extraction"])
def test_a_language_models_work_tells_its_own(kind, state, error, status):
    notice, data = about(task(TaskKind(kind), state, error_type=error), FILE)
    assert notice == f"{kind}_status"
    assert (data["status"], data["task_state"], data["kind"]) == (status, state, kind)
    assert (data["file_id"], data["progress"], data["result"]) == (
        str(FILE.id),
        50.0,
        {"version": 2},
    )


def test_every_stage_has_a_message():
    stages = {*summarize.SHARE, *identify.SHARE, *topics.SHARE}
    assert stages <= STAGE_MESSAGES.keys()
    assert all(len(stage) <= 32 for stage in stages)
    running = task(TaskKind.summarization, TaskState.running, stage="reading")
    assert message(running) == "Reading the transcript."
