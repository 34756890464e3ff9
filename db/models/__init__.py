"""The tables, one module per aggregate; importing this package registers all of them."""

from db.models.access import ExternalIdentity, RefreshToken, SignInAttempt
from db.models.audit import AuditEvent
from db.models.label import Collection, CollectionMember, Comment, FileTag, Tag
from db.models.media_file import FileStatus, MediaFile, Upload, UploadPart, UploadState
from db.models.outbox import Destination, IdempotencyKey, OutboxEntry
from db.models.setting import SystemSetting, UserSetting
from db.models.task import Lane, QueueClock, StageResult, Task, TaskEvent, TaskKind, TaskState
from db.models.transcript import Analytics, Segment, Speaker, Transcript, TranscriptEdit
from db.models.user import Role, User

__all__ = [
    "Analytics",
    "AuditEvent",
    "Collection",
    "CollectionMember",
    "Comment",
    "Destination",
    "ExternalIdentity",
    "FileStatus",
    "FileTag",
    "IdempotencyKey",
    "Lane",
    "MediaFile",
    "OutboxEntry",
    "QueueClock",
    "RefreshToken",
    "Role",
    "Segment",
    "SignInAttempt",
    "Speaker",
    "StageResult",
    "SystemSetting",
    "Tag",
    "Task",
    "TaskEvent",
    "TaskKind",
    "TaskState",
    "Transcript",
    "TranscriptEdit",
    "Upload",
    "UploadPart",
    "UploadState",
    "User",
    "UserSetting",
]
