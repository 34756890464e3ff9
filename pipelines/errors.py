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
