"""File names that users send: see `pipelines.names`."""

from pipelines.names import MAX_CHARACTERS, display_name

__all__ = ["MAX_CHARACTERS", "display_name"]
