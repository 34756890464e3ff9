"""What a vector store refuses before its server is asked: names, points and vectors."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from db.vectors.port import OWNER, Point, Space, Values, Vector

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What PostgreSQL takes as an identifier without cutting it, and what is safe in a URL."""
FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")
MAX_DIMENSION = 1536
"""A row with its vector fits a page of PostgreSQL, and pgvector indexes at most 2000."""


def space_name(name: str) -> str:
    """The name, if a space can have it."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is no name of a space: 1 to 63 characters of a-z, 0-9, _ and -, "
            "beginning with a letter or a digit"
        )
    return name


def checked(space: Space) -> Space:
    """The space, if there can be one like it."""
    space_name(space.name)
    if not 1 <= space.dimension <= MAX_DIMENSION:
        raise ValueError(f"{space.dimension} dimensions: a space has 1 to {MAX_DIMENSION}")
    return space


def same_dimension(space: Space, found: int) -> None:
    """Refuse a space that is there with vectors of another length."""
    if found != space.dimension:
        raise ValueError(
            f"the space {space.name} is there with {found} dimensions, not {space.dimension}: "
            "its name should say which model it is of"
        )


def fields(values: Values | None) -> Values:
    """The fields and their values, if payloads can have such fields."""
    for name in values or {}:
        if name == OWNER or not FIELD.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no field of a payload")
    return values or {}


def payloads(points: Sequence[Point]) -> None:
    """Refuse payloads that not every store can keep."""
    for point in points:
        fields(dict.fromkeys(point.payload, ()))
        if any("\x00" in text for value in point.payload.values() for text in texts(value)):
            raise ValueError(f"the payload of {point.id} holds a NUL character")


def texts(value: str | Sequence[str]) -> Sequence[str]:
    """The texts of a field, of which it has one or a list."""
    return (value,) if isinstance(value, str) else value


def directions(vectors: Sequence[Vector], dimension: int) -> list[list[float]]:
    """The vectors with length 1: numbers too large or too small to be squared do no harm."""
    if not vectors:
        return []
    for vector in vectors:
        if len(vector) != dimension:
            raise ValueError(f"a vector has {len(vector)} numbers, its space {dimension}")
    rows: npt.NDArray[np.float64] = np.asarray(vectors, dtype=np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    if not np.isfinite(largest).all() or not largest.all():
        raise ValueError("a vector has no direction: it is all zeros, or not all of it is a number")
    scaled = rows / largest
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    found: list[list[float]] = unit.astype(np.float32).tolist()
    return found
