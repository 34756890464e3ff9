"""The tables, one module per aggregate; importing this package registers all of them."""

from db.models.access import ExternalIdentity, RefreshToken, SignInAttempt
from db.models.audit import AuditEvent
from db.models.backfill import (
    Backfill,
    BackfillEngine,
    BackfillItem,
    BackfillStage,
    BackfillStop,
    ItemState,
)
from db.models.label import Collection, CollectionMember, Comment, FileTag, Tag
from db.models.language import (
    ContentType,
    LlmConfiguration,
    SpeakerPrediction,
    SuggestionState,
    Summary,
    SummaryPrompt,
    TopicSuggestion,
)
from db.models.media_file import FileStatus, MediaFile, Upload, UploadPart, UploadState
from db.models.outbox import Destination, IdempotencyKey, OutboxEntry
from db.models.search import IndexedFile
from db.models.setting import SystemSetting, UserSetting
from db.models.task import Lane, QueueClock, StageResult, Task, TaskEvent, TaskKind, TaskState
from db.models.transcript import (
    Analytics,
    NameSource,
    Segment,
    Speaker,
    Transcript,
    TranscriptEdit,
)
from db.models.usage import UsageEntry, UsageMeasure
from db.models.user import Role, User
from db.models.voice import (
    CannotLink,
    ChangeAction,
    Enrolment,
    ProfileMatch,
    ProfileRejection,
    ProfileVoiceprint,
    SpeakerChange,
    SpeakerCluster,
    SpeakerCollection,
    SpeakerCollectionMember,
    SpeakerMatch,
    SpeakerProfile,
)

__all__ = [
    "Analytics",
    "AuditEvent",
    "Backfill",
    "BackfillEngine",
    "BackfillItem",
    "BackfillStage",
    "BackfillStop",
    "CannotLink",
    "ChangeAction",
    "Collection",
    "CollectionMember",
    "Comment",
    "ContentType",
    "Destination",
    "Enrolment",
    "ExternalIdentity",
    "FileStatus",
    "FileTag",
    "IdempotencyKey",
    "IndexedFile",
    "ItemState",
    "Lane",
    "LlmConfiguration",
    "MediaFile",
    "NameSource",
    "OutboxEntry",
    "ProfileMatch",
    "ProfileRejection",
    "ProfileVoiceprint",
    "QueueClock",
    "RefreshToken",
    "Role",
    "Segment",
    "SignInAttempt",
    "Speaker",
    "SpeakerChange",
    "SpeakerCluster",
    "SpeakerCollection",
    "SpeakerCollectionMember",
    "SpeakerMatch",
    "SpeakerPrediction",
    "SpeakerProfile",
    "StageResult",
    "SuggestionState",
    "Summary",
    "SummaryPrompt",
    "SystemSetting",
    "Tag",
    "Task",
    "TaskEvent",
    "TaskKind",
    "TaskState",
    "TopicSuggestion",
    "Transcript",
    "TranscriptEdit",
    "Upload",
    "UploadPart",
    "UploadState",
    "UsageEntry",
    "UsageMeasure",
    "User",
    "UserSetting",
]
