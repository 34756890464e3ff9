"""What can go wrong with tasks. Positional arguments only; no HTTP here."""

import uuid


class PipelineError(Exception):
    """Base of this floor's errors."""


class IllegalTransition(PipelineError):
    """A task cannot go from one state to the other."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(before, after)
        self.before = before
        self.after = after

    def __str__(self) -> str:
        """Name both states."""
        return f"A {self.before} task cannot become {self.after}."


class QueueFull(PipelineError):
    """Too much audio is waiting already; later there is room."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message, retry_after_seconds)
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        """Say what is full."""
        return self.message


class FileBusy(PipelineError):
    """A runner works on the file, so it is not deleted now."""

    def __init__(self, task_id: uuid.UUID, state: str) -> None:
        super().__init__(task_id, state)
        self.task_id = task_id
        self.state = state

    def __str__(self) -> str:
        """Name the task, and say what can be done."""
        return f"Task {self.task_id} is working on this file: cancel it or wait for its end."


class EditRefused(PipelineError):
    """An edit of a transcript that cannot be made; the message says why."""


class SpeakerRefused(PipelineError):
    """What cannot be said of a speaker as things are; the message says why, and what can."""


class FileExists(PipelineError):
    """The user has this recording already, or is fetching it; None: it is gone again."""

    def __init__(self, file_id: uuid.UUID | None) -> None:
        super().__init__(file_id)
        self.file_id = file_id

    def __str__(self) -> str:
        """Name the file."""
        return f"You have this file already, under the id {self.file_id}."


class TaskFailed(PipelineError):
    """An attempt ended for a reason that is the user's to know; `pipelines.advice` knows each."""

    def __init__(self, error_type: str, message: str, retryable: bool = False) -> None:
        super().__init__(error_type, message, retryable)
        self.error_type = error_type
        self.message = message
        self.retryable = retryable

    def __str__(self) -> str:
        """Say what happened."""
        return self.message


class DownloadActive(PipelineError):
    """The user is fetching this recording."""

    def __init__(self, task_id: uuid.UUID) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        """Name the task."""
        return f"Task {self.task_id} is fetching this address for you already."


class QuotaExceeded(PipelineError):
    """The user asked for too much lately; later there is room."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message, retry_after_seconds)
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        """Say what is used up."""
        return self.message


class PromptInvalid(PipelineError):
    """A prompt that cannot be used; the message says where it is wrong, and what is allowed."""


class NotConfigured(PipelineError):
    """No language model is set up for a user."""

    def __str__(self) -> str:
        """Say where one is set up."""
        return (
            "No language model is set up for you: enter one at /api/llm-settings, or ask an "
            "administrator for one."
        )


class TaskActive(PipelineError):
    """Such work on this file waits, or is being done."""

    def __init__(self, task_id: uuid.UUID, state: str) -> None:
        super().__init__(task_id, state)
        self.task_id = task_id
        self.state = state

    def __str__(self) -> str:
        """Name the task, and say what can be done."""
        return f"Task {self.task_id} is {self.state} and does this: wait for its end, or cancel it."
