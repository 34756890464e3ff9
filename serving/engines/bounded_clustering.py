"""Voices to clusters, in memory that does not grow with the square of their number.

The rules are those of pyannote.audio 4.0.7 (`AgglomerativeClustering.cluster`), for points that
have weights: of more points than there may be, those that are near in time and alike become one
point, with their mean and as much weight as there are of them. So a guest who speaks for a minute
of ten hours is a point as well, where a sample of that size would have passed over most of the
guest's, and what is left would have been too few for a speaker.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GEOMETRIC = frozenset({"centroid", "median", "ward"})
"""Methods that know Euclidean distance alone: on unit vectors it orders as the cosine does."""
BLOCK = 500
"""Points in a row (minutes of speech) that are looked through for those that are alike."""
ALIKE = 0.6
"""Share of the threshold below which points of a block become one."""
SMALL_SHARE = 0.1
"""Of few points, this share is enough for a speaker (pyannote)."""

Units = npt.NDArray[np.floating]
"""Vectors of length 1, shape (points, dimension)."""
Labels = npt.NDArray[np.int64]
"""The number of each point's cluster, from 0."""
Weights = npt.NDArray[np.int64]
Tree = npt.NDArray[np.float64]
"""SciPy's linkage matrix."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When voices are one speaker's."""

    threshold: float
    min_size: int
    """Points that make a speaker; fewer go to the speaker they are most like."""
    method: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many clusters there may be, as pyannote's `set_num_clusters` says."""

    number: int | None
    minimum: int
    maximum: int


def cluster(vectors: Units, rules: Rules, wanted: Wanted, most: int) -> Labels:
    """Cluster vectors (points, dimension) that are in order of time; at most `most` are linked."""
    units = _scaled(vectors)
    groups = condense(units, rules, most)
    if len(groups) == int(groups.max()) + 1:
        return _cluster(units, np.ones(len(units), dtype=np.int64), rules, wanted)
    weights = np.bincount(groups)
    means = _sums(units, groups) / weights[:, None]
    return _cluster(_scaled(means), weights, rules, wanted)[groups]


def condense(units: Units, rules: Rules, most: int) -> Labels:
    """The group of each point: alone where there are few, else with those that are near and alike.

    There are no more than `most` groups, if `most` is one for every block of points at least.
    """
    if len(units) <= most:
        return np.arange(len(units))
    blocks = np.array_split(units, -(-len(units) // BLOCK))
    cap = max(1, most // len(blocks))
    found, first = [], 0
    for block in blocks:
        labels = _alike(block, rules, cap) + first
        first = int(labels.max()) + 1
        found.append(labels)
    return np.concatenate(found)


def _alike(block: Units, rules: Rules, cap: int) -> Labels:
    from scipy.cluster.hierarchy import fcluster

    if len(block) == 1:
        return np.zeros(1, dtype=np.int64)
    tree = _link(block, rules.method)
    labels = fcluster(tree, ALIKE * rules.threshold, "distance")
    if len(np.unique(labels)) > cap:
        labels = fcluster(tree, cap, "maxclust")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _cluster(units: Units, weights: Weights, rules: Rules, wanted: Wanted) -> Labels:
    """Cut the tree, count large clusters, give the small ones to large ones: pyannote's steps."""
    if len(units) == 1:
        return np.zeros(1, dtype=np.int64)
    least = min(rules.min_size, max(1, round(SMALL_SHARE * int(weights.sum()))))
    tree = _link(units, rules.method)
    labels = _cut(tree, rules.threshold)
    large = _large(labels, weights, least)
    number = wanted.number
    if len(large) < wanted.minimum:
        number = wanted.minimum
    elif len(large) > wanted.maximum:
        number = wanted.maximum
    if number is not None and len(large) != number:
        labels = _cut_into(number, tree, weights, least, rules.threshold)
        large = _large(labels, weights, least)
    if not len(large):
        return np.zeros(len(units), dtype=np.int64)
    return _without_small(labels, large, units, weights)


def _cut_into(number: int, tree: Tree, weights: Weights, least: int, threshold: float) -> Labels:
    """The cut nearest to the threshold that has so many large clusters, or else nearly so many."""
    steps = tree.copy()
    steps[:, 2] = np.arange(len(tree))
    sizes = _sizes(tree, weights)
    best, best_count = len(tree), 1
    for step in np.argsort(np.abs(tree[:, 2] - threshold)):
        # Only a step that makes a large cluster changes their number.
        if sizes[step] < least:
            continue
        count = len(_large(_cut(steps, step), weights, least))
        if count == number:
            return _cut(steps, step)
        if abs(count - number) < abs(best_count - number):
            best, best_count = step, count
    return _cut(steps, best)


def _sizes(tree: Tree, weights: Weights) -> Weights:
    """The weight below each step of the tree."""
    below = np.concatenate([weights, np.zeros(len(tree), dtype=np.int64)])
    for step, (left, right) in enumerate(tree[:, :2].astype(np.int64)):
        below[len(weights) + step] = below[left] + below[right]
    return below[len(weights) :]


def _without_small(labels: Labels, large: Labels, units: Units, weights: Weights) -> Labels:
    """Give each small cluster to the large one whose mean is most like its own; number them."""
    from scipy.spatial.distance import cdist

    present, compact = np.unique(labels, return_inverse=True)
    means = _sums(units * weights[:, None], compact)
    is_large = np.isin(present, large)
    target = np.arange(len(present))
    if not is_large.all():
        apart = cdist(means[is_large], means[~is_large], metric="cosine")
        target[~is_large] = np.flatnonzero(is_large)[apart.argmin(axis=0)]
    return np.unique(target[compact], return_inverse=True)[1].astype(np.int64)


def _link(units: Units, method: str) -> Tree:
    from scipy.cluster.hierarchy import linkage

    tree: Tree = linkage(units, method, "euclidean" if method in GEOMETRIC else "cosine")
    return tree


def _cut(tree: Tree, height: float) -> Labels:
    from scipy.cluster.hierarchy import fcluster

    labels: Labels = fcluster(tree, height, "distance").astype(np.int64) - 1
    return labels


def _large(labels: Labels, weights: Weights, least: int) -> Labels:
    sizes = np.bincount(labels, weights)
    return np.flatnonzero(sizes >= least)


def _sums(units: Units, groups: Labels) -> Units:
    """The sum of each group's vectors; no group is empty."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sums: Units = np.add.reduceat(units[order], starts, axis=0, dtype=np.float64)
    return sums


def _scaled(vectors: Units) -> Units:
    """To length 1, as pyannote does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled: Units = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled
