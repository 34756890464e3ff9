"""What the owner of a file can do with it now, and what they are advised to do."""

from collections.abc import Iterator
from dataclasses import dataclass

from api import rerun
from api.files.bulk_schemas import FileAction
from db.models import MediaFile, Task, TaskState
from pipelines.advice import advice_on
from pipelines.task_state import TERMINAL


@dataclass(frozen=True, slots=True)
class Situation:
    """A file, its latest task, and whether that one's runner has fallen silent."""

    file: MediaFile
    task: Task | None
    is_stuck: bool

    @property
    def idle(self) -> bool:
        """Whether nobody works on the file, or is going to."""
        return self.task is None or self.task.state in TERMINAL


def possible(now: Situation) -> list[FileAction]:
    """What can be done."""
    state = now.task.state if now.task else None
    can = {
        FileAction.delete: now.idle or state is TaskState.queued,
        FileAction.retry: now.idle and rerun.is_retryable(now.file, now.task),
        FileAction.cancel: state in {TaskState.queued, TaskState.running},
        FileAction.recover: now.is_stuck,
        FileAction.reprocess: now.idle,
    }
    return [action for action, possible_now in can.items() if possible_now]


def recommended(now: Situation) -> list[str]:
    """What to do, in sentences."""
    return list(_recommended(now))


def _recommended(now: Situation) -> Iterator[str]:
    if now.is_stuck:
        yield "Its runner has fallen silent; another one takes it by itself within a minute."
        yield "Recover it if that does not happen."
    elif now.task is None:
        yield "No task was ever made for it: reprocess it."
    elif now.task.state is TaskState.failed:
        yield from advice_on(now.task.error_type).suggestions
    elif now.task.state is TaskState.cancelled:
        yield "Retry it: what was done before it was cancelled is not repeated."
    elif not now.idle:
        yield "Wait: its events (`/api/files/streaming/{id}/events`) tell how far it is."
