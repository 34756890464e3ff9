"""One vector for a voice from many, and how much clean speech there is of it."""

from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.speech import SpeakerTurn

LEAST_LENGTH = 1e-6
"""A vector that is not longer has no direction worth keeping: it is rounding noise."""

Numbers = npt.NDArray[np.floating[Any] | np.integer[Any]]


def mean_voiceprint(embeddings: Numbers, weights: Numbers) -> tuple[float, ...] | None:
    """Average the directions of embeddings (n, dimension) by weights (n,); of unit length.

    Rows that are not finite or have no length, and rows whose weight is not above zero, say nothing
    and are left out. None: nothing is left, or what is left cancels out.

    Raises:
        ValueError: the shapes do not go together.
    """
    if embeddings.ndim != 2 or weights.shape != embeddings.shape[:1]:
        raise ValueError(f"{embeddings.shape} embeddings do not go with {weights.shape} weights")
    units, usable = unit_rows(embeddings)
    usable &= np.isfinite(weights) & (weights > 0)
    shares = np.where(usable, weights, 0).astype(np.float64)
    if not usable.any():
        return None
    # By the largest first: sums of extreme weights would leave the range of floats.
    shares /= shares.max()
    mean = (shares / shares.sum()) @ units
    length = float(np.linalg.norm(mean))
    return None if length <= LEAST_LENGTH else tuple((mean / length).tolist())


def unit_rows(embeddings: Numbers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Scale each row to unit length; and say which rows have a direction. The others are zero."""
    rows = embeddings.astype(np.float64)
    usable = np.isfinite(rows).all(axis=1)
    rows[~usable] = 0.0
    # By the largest entry first: its square may leave the range of floats.
    largest = np.maximum(rows.max(axis=1, initial=0.0), -rows.min(axis=1, initial=0.0))
    usable &= largest > LEAST_LENGTH
    rows[~usable] = 0.0
    rows /= np.where(usable, largest, 1.0)[:, None]
    rows /= np.where(usable, np.sqrt(np.einsum("nd,nd->n", rows, rows)), 1.0)[:, None]
    return rows, usable


def clean_seconds(turns: Collection[SpeakerTurn]) -> dict[str, float]:
    """Seconds in which each speaker is the only one who speaks."""
    seconds = dict.fromkeys(sorted({turn.speaker for turn in turns}), 0.0)
    edges = [(turn.start, 1, turn.speaker) for turn in turns]
    edges += [(turn.end, -1, turn.speaker) for turn in turns]
    speaking: Counter[str] = Counter()
    for (start, change, speaker), (end, _, _) in pairwise(sorted(edges)):
        speaking[speaker] += change
        if not speaking[speaker]:
            del speaking[speaker]
        if len(speaking) == 1:
            seconds[next(iter(speaking))] += end - start
    return seconds
