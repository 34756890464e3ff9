"""The tables, one module per aggregate; importing this package registers all of them."""

from db.models.media_file import FileStatus, MediaFile, Upload, UploadPart, UploadState
from db.models.outbox import Destination, IdempotencyKey, OutboxEntry
from db.models.task import Lane, QueueClock, StageResult, Task, TaskEvent, TaskKind, TaskState
from db.models.transcript import Segment, Speaker, Transcript
from db.models.user import RefreshToken, Role, User

__all__ = [
    "Destination",
    "FileStatus",
    "IdempotencyKey",
    "Lane",
    "MediaFile",
    "OutboxEntry",
    "QueueClock",
    "RefreshToken",
    "Role",
    "Segment",
    "Speaker",
    "StageResult",
    "Task",
    "TaskEvent",
    "TaskKind",
    "TaskState",
    "Transcript",
    "Upload",
    "UploadPart",
    "UploadState",
    "User",
]
