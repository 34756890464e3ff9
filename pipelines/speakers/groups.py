"""Groups of voices: how alike they are, which of before they continue, who is odd in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Voiceprints, shape (n, dimension), of length 1."""
Cosines = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]

ALONE = -1
"""The number of a voice that is in no group."""

FEWEST_FOR_SPREAD = 5
"""Members from which on the spread of a group says something."""
SPREADS = 3
"""Median absolute deviations, made comparable to a standard deviation, that are far."""
DEVIATION = 1.4826
"""A normal distribution's standard deviation, in median absolute deviations."""
LEAST_GAP = 0.05
"""Cosine below the median that counts: in a very even group the next one is no stranger."""


class Oddity(StrEnum):
    """Why a voice may not belong to its group."""

    below_threshold = "below_threshold"
    unlike_the_others = "unlike_the_others"


@dataclass(frozen=True, slots=True)
class Outlier:
    """A member that may be somebody else."""

    index: int
    similarity: float
    """Cosine to the mean of the others."""
    oddity: Oddity


def to_means(voices: Vectors, groups: Numbers) -> Cosines:
    """Say for each voice the cosine to the mean of its group, itself included; NaN: alone."""
    similarity = np.full(len(groups), np.nan, dtype=np.float32)
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] != ALONE]
    if not order.size:
        return similarity
    starts = np.flatnonzero(np.diff(groups[order], prepend=ALONE))
    # One group after the other: all of them sorted at once would be a second copy.
    for start, end in pairwise([*starts.tolist(), len(order)]):
        members = order[start:end]
        rows = voices[members].astype(np.float64)
        similarity[members] = rows @ _unit(rows.sum(axis=0))
    return similarity


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    # Opposite voices have no mean: none is like it.
    return vector / length if length > 0 else vector


def without_pairs(groups: Numbers, similarity: Cosines, apart: Numbers) -> Numbers:
    """Put of each pair (k, 2) in one group the voice that is less like it out of the group."""
    left = groups.copy()
    for first, second in apart.tolist():
        if left[first] != ALONE and left[first] == left[second]:
            left[first if similarity[first] < similarity[second] else second] = ALONE
    return left


def of_several(groups: Numbers) -> Numbers:
    """Leave only groups of two or more, numbered from 0 in the order of their first member."""
    _, first, member_of, counts = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    kept = (counts > 1) & (groups[first] != ALONE)
    number = np.full(len(first), ALONE, dtype=np.int32)
    number[np.flatnonzero(kept)[np.argsort(first[kept])]] = np.arange(kept.sum())
    renumbered: Numbers = number[member_of]
    return renumbered


def continued(groups: Numbers, before: Numbers) -> Mapping[int, int]:
    """Say by group which one of before it continues: that with which it shares most members.

    Each of before is continued once. Of equal shares the lower numbers win, so that the same
    members always give the same answer.
    """
    both = (groups != ALONE) & (before != ALONE)
    pairs, shared = np.unique(
        np.stack([groups[both], before[both]], axis=1), axis=0, return_counts=True
    )
    found: dict[int, int] = {}
    taken: set[int] = set()
    for index in np.argsort(-shared, kind="stable").tolist():
        group, old = (int(number) for number in pairs[index])
        if group not in found and old not in taken:
            found[group] = old
            taken.add(old)
    return found


def outliers(voices: Vectors, threshold: float) -> Sequence[Outlier]:
    """Find the members of one group that are little like the mean of the others, worst first.

    A voice is odd below `threshold` (cosine), or where it is much further from the others than they
    are from each other.
    """
    if len(voices) < 2:
        return []
    similarity = _to_others(voices)
    far = _far_below(similarity)
    odd = np.flatnonzero((similarity < threshold) | (similarity < far))
    return [
        Outlier(
            index,
            float(similarity[index]),
            Oddity.below_threshold if similarity[index] < threshold else Oddity.unlike_the_others,
        )
        for index in odd[np.argsort(similarity[odd], kind="stable")].tolist()
    ]


def _to_others(voices: Vectors) -> npt.NDArray[np.float64]:
    rows = voices.astype(np.float64)
    others = rows.sum(axis=0) - rows
    lengths = np.linalg.norm(others, axis=1)
    cosines: npt.NDArray[np.float64] = np.einsum("ij,ij->i", rows, others)
    return cosines / np.where(lengths > 0, lengths, 1.0)


def _far_below(similarity: npt.NDArray[np.float64]) -> float:
    """Below which cosine a member is far from the others."""
    if len(similarity) < FEWEST_FOR_SPREAD:
        return -1.0
    median = float(np.median(similarity))
    spread = DEVIATION * float(np.median(np.abs(similarity - median)))
    return median - max(SPREADS * spread, LEAST_GAP)
