"""Speakers of a whole recording, from the local speakers of its chunks and their embeddings.

Follows `SpeakerDiarization.apply` of pyannote.audio 4.0.7 and gives its turns. Four things are our
own: the number of clustered points is bounded (serving.engines.bounded_clustering); how many chunks
make a speaker follows from the step between them; the last step is computed without the array of
(chunks, frames, speakers) floats that pyannote needs, which is gigabytes for long recordings; and a
speaker's embedding is the mean of all of its vectors, by how long it speaks alone in each, where
pyannote gives the centroid of those that were clustered, a second of speech as much as ten.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.audio import STEP_SECONDS
from serving.engines import bounded_clustering, pyannote_model
from serving.engines.bounded_clustering import Rules, Wanted
from serving.ports import Embeddings
from serving.speech import Diarization, SpanSegmentation, SpeakerBounds, SpeakerTurn
from serving.voiceprints import clean_seconds, mean_voiceprint

SILENT = -2
"""Cluster of a local speaker who never speaks; pyannote's number."""
BLOCK_FRAMES = 1 << 16
"""Frames that are ranked at once."""

Activity = npt.NDArray[np.uint8]
"""0 or 1, shape (chunks, frames, local speakers)."""
Clusters = npt.NDArray[np.int64]
"""The cluster of each local speaker, shape (chunks, local speakers)."""
Grid = npt.NDArray[np.uint8]
"""Shape (frames of the recording, clusters)."""
Turns = list[tuple[float, float, int]]
"""Start, end, cluster."""


@dataclass(frozen=True, slots=True)
class SpeakerClusteringOptions:
    """Hyper-parameters of agglomerative clustering, and the identity of the embeddings."""

    threshold: float
    min_cluster_size: int = 12
    """Chunks that make a speaker, where one begins every second (pyannote's own step)."""
    method: str = "centroid"
    embedding_model: str = ""
    max_clustered_embeddings: int = 5000
    """Of more, those that are near in time and alike become one."""


class SpeakerClusteringEngine:
    """Agglomerative clustering (pyannote's) and the turns that follow from it. CPU only."""

    def __init__(self, options: SpeakerClusteringOptions) -> None:
        self.options = options
        self._clustering: Any = None

    def load(self) -> None:
        """Load pyannote's ways to choose which vectors count, and to assign the others."""
        pyannote_model.quiet()
        from pyannote.audio.pipelines.clustering import AgglomerativeClustering

        self._clustering = AgglomerativeClustering(metric="cosine")

    def _rules(self, step_seconds: float) -> Rules:
        """Fewer chunks make a speaker where fewer chunks hear each second."""
        options = self.options
        size = max(1, round(options.min_cluster_size * STEP_SECONDS / step_seconds))
        return Rules(options.threshold, size, options.method)

    def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Find who spoke when; spans in order. Without speech: no turns.

        A speaker of whom no vector is usable (too short, never alone) has turns but no embedding.
        """
        if not any(segmentation.activity.any() for segmentation in segmentations):
            return Diarization((), (), embedding_model=self.options.embedding_model)
        activity = np.concatenate([segmentation.activity for segmentation in segmentations])
        timeline = _Timeline(segmentations[0])
        vectors = np.concatenate(embeddings)
        hard = self._assign(timeline, activity, vectors, bounds)
        hard[~activity.any(axis=1)] = SILENT
        count = np.minimum(timeline.count(activity), bounds.exact or bounds.maximum)
        heard = _heard(timeline, activity, hard, len(count))
        turns = timeline.turns(_loudest(heard, count))
        exclusive = timeline.turns(_loudest(heard, np.minimum(count, 1)))
        labels = _labels(turns)
        named = _named(turns, labels)
        return Diarization(
            named,
            _named(exclusive, labels),
            _voiceprints(labels, hard, vectors, _frames_alone(activity)),
            self.options.embedding_model,
            clean_seconds(named),
        )

    def _assign(
        self,
        timeline: "_Timeline",
        activity: Activity,
        embeddings: Embeddings,
        bounds: SpeakerBounds,
    ) -> Clusters:
        """Give every local speaker a cluster.

        The steps of pyannote's `BaseClustering.__call__`, with its own clustering left out.
        """
        clustering = self._clustering
        points, chunks, speakers = clustering.filter_embeddings(
            embeddings, timeline.feature(activity)
        )
        wanted = Wanted(
            *clustering.set_num_clusters(len(points), bounds.exact, bounds.minimum, bounds.maximum)
        )
        if wanted.maximum < 2:
            return np.zeros(embeddings.shape[:2], dtype=np.int64)
        rules = self._rules(timeline.step_seconds)
        most = self.options.max_clustered_embeddings
        clusters = bounded_clustering.cluster(points, rules, wanted, most)
        hard: Clusters = clustering.assign_embeddings(embeddings, chunks, speakers, clusters)[0]
        return hard


class _Timeline:
    """The chunk and frame grids of a recording, in pyannote's terms."""

    def __init__(self, segmentation: SpanSegmentation) -> None:
        from pyannote.core import SlidingWindow

        self.step_seconds = segmentation.step_seconds
        self._chunks = SlidingWindow(segmentation.chunk_seconds, segmentation.step_seconds, 0.0)
        self._frames = SlidingWindow(
            segmentation.frame_seconds, segmentation.frame_step_seconds, 0.0
        )

    def feature(self, activity: Activity) -> Any:
        from pyannote.core import SlidingWindowFeature

        return SlidingWindowFeature(activity, self._chunks)

    def count(self, activity: Activity) -> npt.NDArray[np.int64]:
        """How many speak at once in each frame of the recording (pyannote's own rule)."""
        from pyannote.audio.pipelines.utils import SpeakerDiarizationMixin

        count = SpeakerDiarizationMixin.speaker_count(
            self.feature(activity), self._frames, warm_up=(0.0, 0.0)
        )
        return np.asarray(count.data[:, 0], dtype=np.int64)

    def first_frame(self, chunk: int) -> int:
        """Where a chunk's first frame lies on the recording's grid."""
        start: int = self._frames.closest_frame(
            self._chunks[chunk].start + 0.5 * self._frames.duration
        )
        return start

    def turns(self, active: Grid) -> Turns:
        """Runs of active frames, from the middle of the first to the middle of the next silent."""
        found = []
        last = len(active) - 1
        for cluster, column in enumerate(active.T):
            edges = np.flatnonzero(np.diff(column, prepend=0, append=0))
            for first, end in edges.reshape(-1, 2).tolist():
                if first < last:
                    found.append((self._middle(first), self._middle(min(end, last)), cluster))
        return sorted(found)

    def _middle(self, frame: int) -> float:
        return float(self._frames[frame].middle)


def _heard(timeline: _Timeline, activity: Activity, hard: Clusters, frames: int) -> Grid:
    """In how many chunks each cluster is heard, frame by frame."""
    heard = np.zeros((frames, max(1, hard.max() + 1)), dtype=np.uint8)
    for chunk, (local, clusters) in enumerate(zip(activity, hard, strict=True)):
        first = timeline.first_frame(chunk)
        for cluster in set(clusters.tolist()) - {SILENT}:
            heard[first : first + len(local), cluster] += local[:, clusters == cluster].any(axis=1)
    return heard


def _loudest(heard: Grid, count: npt.NDArray[np.int64]) -> Grid:
    """Mark in each frame the `count` clusters that are heard in most chunks."""
    most = int(count.max(initial=0))
    missing = max(0, most - heard.shape[1])
    active = np.zeros((len(heard), heard.shape[1] + missing), dtype=np.uint8)
    for block in _blocks(len(heard)):
        # Ties fall as in pyannote: the same sort of the same floats.
        scores = np.pad(heard[block], ((0, 0), (0, missing))).astype(np.float32)
        order = np.argsort(-scores, axis=-1)
        for rank in range(most):
            rows = np.flatnonzero(count[block] > rank)
            active[block][rows, order[rows, rank]] = 1
    return active


def _blocks(frames: int) -> Iterator[slice]:
    for start in range(0, frames, BLOCK_FRAMES):
        yield slice(start, start + BLOCK_FRAMES)


def _labels(turns: Turns) -> dict[int, str]:
    """Name the clusters that speak; pyannote's order is that of their numbers as text."""
    clusters = sorted({cluster for _, _, cluster in turns}, key=str)
    return {cluster: f"SPEAKER_{index:02d}" for index, cluster in enumerate(clusters)}


def _named(turns: Turns, labels: Mapping[int, str]) -> tuple[SpeakerTurn, ...]:
    return tuple(SpeakerTurn(start, end, labels[cluster]) for start, end, cluster in turns)


def _frames_alone(activity: Activity) -> npt.NDArray[np.int64]:
    """In how many frames each local speaker of a chunk speaks alone; (chunks, local speakers)."""
    alone = activity.sum(axis=2, dtype=np.uint8) == 1
    # einsum casts block by block: a product of these arrays would be as large as the activity.
    counts: npt.NDArray[np.int64] = np.einsum("cfs,cf->cs", activity, alone, dtype=np.int64)
    return counts


def _voiceprints(
    labels: Mapping[int, str],
    hard: Clusters,
    vectors: Embeddings,
    weights: npt.NDArray[np.int64],
) -> dict[str, tuple[float, ...]]:
    """Average the vectors of each label's local speakers, where any is usable."""
    found = {}
    for cluster, label in labels.items():
        members = hard == cluster
        voiceprint = mean_voiceprint(vectors[members], weights[members])
        if voiceprint is not None:
            found[label] = voiceprint
    return found
