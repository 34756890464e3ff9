"""Groups of voices that are one person's, over a whole library. CPU only.

Average linkage: two groups are joined while the mean cosine between their voices is the highest
and at least the threshold. The mean over all pairs of voices of two groups is the product of the
groups' mean vectors, so that nobody needs the matrix of all pairs: candidates are read off a sparse
graph of neighbours, and groups that are each other's best are joined at once, which for average
linkage gives the same groups as one pair after the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]

ALONE = -1
"""Group of a voice that is in none."""
BLOCK = 1 << 16
"""Pairs that are compared at once: two blocks of vectors are 100 MB."""
CELLS_LOOKED_INTO = 16
LENGTH_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class VoiceGroupingOptions:
    """How the nearest voices are found."""

    neighbours: int = 32
    """With how many of the most similar a voice is compared. Groups that were joined are compared
    again, so that a person may have any number of voices."""
    exact: int = 10_000
    """Up to so many, all are compared with all. Above, faiss' inverted file finds more than 99 %
    of the neighbours, and time grows with n^1.5 instead of n^2 (docs/benchmarks.md)."""
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs of groups that may be joined, each once, with their mean cosine."""

    one: Indices
    other: Indices
    cosine: Vectors

    def where(self, kept: npt.NDArray[np.bool_] | Indices) -> "Edges":
        """Choose some of them."""
        return Edges(self.one[kept], self.other[kept], self.cosine[kept])


class VoiceGroupingEngine:
    """Agglomerative clustering under constraints, in memory that grows with the voices."""

    def __init__(self, options: VoiceGroupingOptions) -> None:
        self.options = options

    def group(
        self,
        voices: Vectors,
        recordings: npt.NDArray[np.integer],
        apart: npt.NDArray[np.integer],
        threshold: float,
    ) -> Numbers:
        """Number the groups of voices in order of their first; -1 for a voice alone.

        Args:
            voices: unit vectors, (n, dimension).
            recordings: of each voice, (n,); voices of one recording are never in one group.
            apart: pairs of indices that are never in one group, (k, 2).
            threshold: the least mean cosine of groups that are joined.

        Raises:
            ValueError: shapes or indices do not go together, or a vector is not of unit length.
        """
        _check(voices, recordings, apart)
        groups = _Groups(voices, recordings, apart)
        changed = np.arange(len(voices))
        while len(changed):
            edges = groups.compare(*self._neighbours(groups.means(), changed), threshold)
            while len(edges.one):
                edges = groups.join(edges, threshold)
            changed = groups.compact()
        return groups.numbers()

    def _neighbours(self, points: Vectors, asked: Indices) -> tuple[Indices, Indices]:
        """Pairs of each point asked for with the most similar of all."""
        import faiss

        most = min(self.options.neighbours + 1, len(points))
        faiss.omp_set_num_threads(self.options.threads)
        index: faiss.Index = faiss.IndexFlatIP(points.shape[1])
        if len(points) > self.options.exact:
            cells = min(len(points), round(4 * len(points) ** 0.5))
            cellular = faiss.IndexIVFFlat(index, points.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
            cellular.nprobe = CELLS_LOOKED_INTO
            # Fewer examples per cell than faiss would like are enough here, and it need not say so.
            cellular.cp.min_points_per_centroid = 1
            cellular.train(points)
            index = cellular
        index.add(points)
        found = index.search(points[asked], most)[1].ravel()
        asking = np.repeat(asked, most)
        usable = (found >= 0) & (found != asking)
        return asking[usable], found[usable]


class _Groups:
    """Which voices are joined so far, and what may not be."""

    def __init__(
        self,
        voices: Vectors,
        recordings: npt.NDArray[np.integer],
        apart: npt.NDArray[np.integer],
    ) -> None:
        self.sums = voices.astype(np.float32)
        self.sizes = np.ones(len(voices), dtype=np.int64)
        self.group_of = np.arange(len(voices))
        """The group of each voice."""
        self._grown = np.zeros(len(voices), dtype=np.bool_)
        self._recordings = np.unique(recordings, return_inverse=True)[1].astype(np.int64)
        self._apart = apart.astype(np.int64)

    def means(self) -> Vectors:
        """Mean vector of each group."""
        means: Vectors = np.divide(self.sums, self.sizes[:, None], dtype=np.float32)
        return means

    def compare(self, one: Indices, other: Indices, threshold: float) -> Edges:
        """Compute the mean cosine of pairs of groups; those that reach the threshold, each once."""
        low, high = np.minimum(one, other), np.maximum(one, other)
        pairs = np.unique(low * len(self.sums) + high)
        low, high = pairs // len(self.sums), pairs % len(self.sums)
        cosine = np.empty(len(pairs), dtype=np.float32)
        for start in range(0, len(pairs), BLOCK):
            block = slice(start, start + BLOCK)
            a, b = low[block], high[block]
            products = np.einsum("nd,nd->n", self.sums[a], self.sums[b])
            cosine[block] = products / (self.sizes[a] * self.sizes[b])
        return Edges(low, high, cosine).where(cosine >= np.float32(threshold))

    def join(self, edges: Edges, threshold: float) -> Edges:
        """Join the groups that are each other's best and may be joined; what is left to compare.

        Edges that fall below the threshold never come back: a mean is no higher than the highest
        mean of its parts.
        """
        best = _each_others_best(edges, len(self.sums))
        allowed = ~self._forbidden(edges.one[best], edges.other[best])
        joined = edges.where(best[allowed])
        self.sums[joined.one] += self.sums[joined.other]
        self.sizes[joined.one] += self.sizes[joined.other]
        self.sizes[joined.other] = 0
        self._grown[joined.one] = True
        kept = np.ones(len(edges.one), dtype=np.bool_)
        kept[best] = False
        return self._renamed(edges.where(kept), joined, threshold)

    def _renamed(self, edges: Edges, joined: Edges, threshold: float) -> Edges:
        """Give the edges of joined groups to what they became, with their cosine now."""
        new = np.arange(len(self.sums))
        new[joined.other] = joined.one
        self.group_of = new[self.group_of]
        touched = np.zeros(len(self.sums), dtype=np.bool_)
        touched[joined.one] = touched[joined.other] = True
        stale = touched[edges.one] | touched[edges.other]
        fresh = self.compare(new[edges.one[stale]], new[edges.other[stale]], threshold)
        same = edges.where(~stale)
        return Edges(
            np.concatenate([same.one, fresh.one]),
            np.concatenate([same.other, fresh.other]),
            np.concatenate([same.cosine, fresh.cosine]),
        )

    def _forbidden(self, one: Indices, other: Indices) -> npt.NDArray[np.bool_]:
        """Which pairs of groups may not be joined; no group is in two pairs."""
        forbidden = np.zeros(len(one), dtype=np.bool_)
        pair_of_group = np.full(len(self.sums), ALONE)
        pair_of_group[one] = pair_of_group[other] = np.arange(len(one))
        pair_of = pair_of_group[self.group_of]
        # Neither side has a recording twice: one that is twice in a pair is on both sides.
        keys = pair_of * (self._recordings.max(initial=0) + 1) + self._recordings
        keys = np.sort(keys[pair_of != ALONE])
        twice = keys[1:][keys[1:] == keys[:-1]]
        forbidden[twice // (self._recordings.max(initial=0) + 1)] = True
        ruled_out = pair_of[self._apart]
        same = (ruled_out[:, 0] == ruled_out[:, 1]) & (ruled_out[:, 0] != ALONE)
        forbidden[ruled_out[same, 0]] = True
        return forbidden

    def compact(self) -> Indices:
        """Number the groups anew without gaps; which have grown since the last time."""
        alive = np.flatnonzero(self.sizes)
        new = np.full(len(self.sums), ALONE)
        new[alive] = np.arange(len(alive))
        self.group_of = new[self.group_of]
        self.sums, self.sizes = self.sums[alive], self.sizes[alive]
        grown, self._grown = self._grown[alive], np.zeros(len(alive), dtype=np.bool_)
        return np.flatnonzero(grown)

    def numbers(self) -> Numbers:
        """Number the groups of more than one voice in order of their first."""
        _, first, place = np.unique(self.group_of, return_index=True, return_inverse=True)
        several = self.sizes > 1
        order = np.full(len(first), ALONE)
        order[several] = first[several].argsort().argsort()
        return order[place].astype(np.int32)


def _each_others_best(edges: Edges, groups: int) -> Indices:
    """Choose edges such that neither end has a better one, and no end twice."""
    highest = np.full(groups, -np.inf, dtype=np.float32)
    np.maximum.at(highest, edges.one, edges.cosine)
    np.maximum.at(highest, edges.other, edges.cosine)
    best: Indices = np.flatnonzero(
        (edges.cosine == highest[edges.one]) & (edges.cosine == highest[edges.other])
    )
    # Ends with several equal ones (copies of a file) take the first.
    best = best[np.lexsort((edges.other[best], edges.one[best]))]
    first = np.full(groups, len(best))
    place = np.arange(len(best))
    np.minimum.at(first, edges.one[best], place)
    np.minimum.at(first, edges.other[best], place)
    chosen: Indices = best[(first[edges.one[best]] == place) & (first[edges.other[best]] == place)]
    return chosen


def _check(
    voices: Vectors, recordings: npt.NDArray[np.integer], apart: npt.NDArray[np.integer]
) -> None:
    if voices.ndim != 2 or recordings.shape != voices.shape[:1]:
        raise ValueError(f"{voices.shape} voices do not go with {recordings.shape} recordings")
    if apart.ndim != 2 or apart.shape[1] != 2:
        raise ValueError(f"{apart.shape} is no list of pairs")
    if apart.size and not 0 <= apart.min() <= apart.max() < len(voices):
        raise ValueError(f"pairs are of {len(voices)} voices, but one names {apart.max()}")
    lengths = np.sqrt(np.einsum("nd,nd->n", voices, voices))
    if not (np.abs(lengths - 1) < LENGTH_TOLERANCE).all():
        raise ValueError("voices are unit vectors, and some are not of unit length")
