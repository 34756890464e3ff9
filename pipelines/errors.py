"""What can go wrong with tasks. Positional arguments only; no HTTP here."""


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
