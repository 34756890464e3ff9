"""What can go wrong with stored things. Positional arguments only; no HTTP here."""


class StoreError(Exception):
    """Base of this floor's errors."""


class NotFound(StoreError):
    """There is no such thing, or this user may not read it: the two are not told apart."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self.kind = kind
        self.key = key

    def __str__(self) -> str:
        """Name what was not found."""
        return f"There is no {self.kind} {self.key}."


class NameTaken(StoreError):
    """The user has another thing of this kind with this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name

    def __str__(self) -> str:
        """Name what is there already."""
        return f"You have a {self.kind} named {self.name} already."


class DuplicateFile(StoreError):
    """The user has another file with the same bytes, so this one cannot come back to life."""


class FenceLost(StoreError):
    """The task was claimed again by somebody else: this writer's result must not be stored."""


class StoreUnavailable(StoreError):
    """A store did not answer."""


class StoreBusy(StoreUnavailable):
    """Others hold what is needed for longer than is waited."""
