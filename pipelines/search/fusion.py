"""Reciprocal rank fusion: one order from several, whose scores cannot be compared."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranks:
    """What one store found, best first, and what a rank of it counts for."""

    ids: Sequence[uuid.UUID]
    weight: float = 1.0
    shares: Sequence[float] = ()
    """How much of its rank each of them counts for, 0..1; none: all of it."""


def fused(rankings: Sequence[Ranks], constant: int) -> Mapping[uuid.UUID, float]:
    """Everything that was found with its score, best first; 1 is first in all of the rankings.

    Each ranking adds `weight * share / (constant + rank)`. Of equal scores, the one that comes
    first in the earlier ranking comes first: the order is the same each time.
    """
    scores: dict[uuid.UUID, float] = defaultdict(float)
    for ranking in rankings:
        shares = dict(zip(ranking.ids, ranking.shares, strict=bool(ranking.shares)))
        for rank, one in enumerate(dict.fromkeys(ranking.ids), start=1):
            scores[one] += ranking.weight * shares.get(one, 1.0) / (constant + rank)
    best = sum(ranking.weight for ranking in rankings) / (constant + 1) or 1.0
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    return {one: score / best for one, score in ordered}
