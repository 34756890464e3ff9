"""Fewer peaks out of many: what a drawing needs."""

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise


class Resolution(IntEnum):
    """How many peaks are wanted."""

    coarse = 500
    medium = 1000
    fine = 2000


def pooled(peaks: Sequence[float], count: int) -> list[float]:
    """At most `count` peaks: of each equal stretch the highest, so that no peak is lost."""
    count = min(count, len(peaks))
    edges = [index * len(peaks) // count for index in range(count + 1)] if count else []
    return [max(peaks[start:end]) for start, end in pairwise(edges)]
