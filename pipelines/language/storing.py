"""What models write, as PostgreSQL can keep it."""

from typing import Any, TypeVar

T = TypeVar("T")


def storable(value: T) -> T:
    """The same value, however deep, without what no text in PostgreSQL can hold.

    JSON can escape a NUL, and half of a character (a lone surrogate); a model may write either.
    """
    found: Any = value
    match value:
        case str():
            found = value.replace("\x00", "").encode("utf-8", "replace").decode()
        case dict():
            found = {storable(key): storable(item) for key, item in value.items()}
        case list():
            found = [storable(item) for item in value]
        case _:
            pass
    kept: T = found
    return kept
