"""What a user's clients are told of tasks and files: event types and their data."""

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from db.models import FileStatus, MediaFile, Task, TaskKind, TaskState

MAX_FILES_TOLD = 100
"""Files that one event names: whoever shows more of them loads them anew."""


class Notice(StrEnum):
    """Types of events; the names are the seed's (reference/opentranscribe.md §2)."""

    transcription_status = "transcription_status"
    file_created = "file_created"
    file_updated = "file_updated"
    file_deleted = "file_deleted"
    transcript_updated = "transcript_updated"
    speakers_updated = "speakers_updated"
    speaker_clusters_updated = "speaker_clusters_updated"
    summarization_status = "summarization_status"
    speaker_identification_status = "speaker_identification_status"
    topic_extraction_status = "topic_extraction_status"


OF_LANGUAGE_MODELS = {
    TaskKind.summarization: Notice.summarization_status,
    TaskKind.speaker_identification: Notice.speaker_identification_status,
    TaskKind.topic_extraction: Notice.topic_extraction_status,
}
"""Tasks that have events of their own."""


class LanguageStatus(StrEnum):
    """How far a language model's work on a file is; the names are the seed's."""

    pending = "pending"
    """It waits, or was never asked for."""
    processing = "processing"
    completed = "completed"
    failed = "failed"
    not_configured = "not_configured"
    """No language model is set up, or none was any more when its turn came."""
    cancelled = "cancelled"


NOT_CONFIGURED = "not_configured"
"""The error type of a task whose user has no language model any more."""

LANGUAGE_STATUS = {
    TaskState.queued: LanguageStatus.pending,
    TaskState.running: LanguageStatus.processing,
    TaskState.cancelling: LanguageStatus.processing,
    TaskState.completed: LanguageStatus.completed,
    TaskState.failed: LanguageStatus.failed,
    TaskState.cancelled: LanguageStatus.cancelled,
}


STAGE_MESSAGES = {
    "prepare": "Decoding the recording.",
    "transcribe": "Transcribing.",
    "diarize": "Finding out who speaks when.",
    "align": "Timing the words.",
    "attribute": "Attributing words to speakers.",
    "look": "Looking at the address.",
    "download": "Downloading.",
    "store": "Storing the recording.",
    "embed": "Computing voiceprints.",
    "read": "Reading voiceprints.",
    "cluster": "Grouping voices.",
    "write": "Storing the groups of voices.",
    "reading": "Reading the transcript.",
    "merging": "Putting the notes of its sections together.",
    "writing": "Writing the summary.",
    "index_words": "Filling the index of words.",
    "index_meaning": "Embedding passages.",
    "compare": "Comparing the stores of search with what is said.",
    "mend_words": "Mending the index of words.",
    "mend_meaning": "Embedding what is missing.",
    "select": "Looking for what is to be done.",
    "work": "Working through its files.",
}


MESSAGES = {
    TaskState.queued: "Waiting for its turn.",
    TaskState.running: "Started.",
    TaskState.cancelling: "Being cancelled.",
    TaskState.completed: "Completed.",
    TaskState.cancelled: "Cancelled.",
    TaskState.failed: "Failed.",
}


def message(task: Task) -> str:
    """One sentence about where a task stands."""
    if task.state is TaskState.queued and task.error_message:
        return f"Failed for now, and is tried again: {task.error_message}"
    if task.state is TaskState.failed:
        return f"Failed: {task.error_message}"
    if task.state is TaskState.running and task.stage in STAGE_MESSAGES:
        return STAGE_MESSAGES[task.stage]
    return MESSAGES[task.state]


def language_status(task: Task) -> LanguageStatus:
    """How far a language model's work is, of which this is the task."""
    if task.state is TaskState.failed and task.error_type == NOT_CONFIGURED:
        return LanguageStatus.not_configured
    return LANGUAGE_STATUS[task.state]


def about(task: Task, file: MediaFile | None) -> tuple[Notice, dict[str, Any]]:
    """The type and the data of an event about a task: its state, and what its file is."""
    notice = OF_LANGUAGE_MODELS.get(task.kind)
    if notice is None:
        return Notice.transcription_status, _task_status(task, file, file.status if file else None)
    data = _task_status(task, file, language_status(task))
    # Which version, how many suggestions.
    return notice, {**data, "result": dict(task.result)}


def _task_status(
    task: Task, file: MediaFile | None, status: FileStatus | LanguageStatus | None
) -> dict[str, Any]:
    # `status`: the file's, or that of a language model's work.
    return {
        "task_id": str(task.id),
        "kind": task.kind,
        "task_state": task.state,
        "status": status,
        "message": message(task),
        "stage": task.stage,
        "progress": round(100 * task.progress, 1),
        "eta_seconds": task.eta_seconds,
        "attempt": task.attempt,
        "error_type": task.error_type,
        **(_of(file) if file else {"file_id": None}),
    }


def file_facts(file: MediaFile) -> dict[str, Any]:
    """Data of `file_created` and `file_updated`."""
    return {
        **_of(file),
        "title": file.title,
        "author": file.author,
        "status": file.status,
        "duration": file.duration,
    }


def file_deleted(file_id: uuid.UUID) -> Mapping[str, Any]:
    """Data of `file_deleted`."""
    return {"file_id": str(file_id)}


def _of(file: MediaFile) -> dict[str, Any]:
    return {
        "file_id": str(file.id),
        "filename": file.filename,
        "content_type": file.content_type,
        "file_size": file.size_bytes,
    }


def transcript_updated(file_id: uuid.UUID, version: int, action: str) -> Mapping[str, Any]:
    """Data of `transcript_updated`: which version an edit made."""
    return {"file_id": str(file_id), "version": version, "action": action}


def speakers_updated(
    change_id: uuid.UUID | None, action: str, file_ids: Sequence[uuid.UUID]
) -> Mapping[str, Any]:
    """Data of `speakers_updated`: who speaks in these files is known otherwise now."""
    return {
        "change_id": str(change_id) if change_id else None,
        "action": action,
        "file_ids": [str(file_id) for file_id in file_ids[:MAX_FILES_TOLD]],
        "total_files": len(file_ids),
    }


def clusters_updated(action: str, cluster_ids: Sequence[uuid.UUID]) -> Mapping[str, Any]:
    """Data of `speaker_clusters_updated`: what a person did to which."""
    return {"action": action, "cluster_ids": [str(cluster_id) for cluster_id in cluster_ids]}
