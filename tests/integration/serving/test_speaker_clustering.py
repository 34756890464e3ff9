"""Clustering beside pyannote's own pipeline, on voices made for the test (no weights)."""

import tracemalloc
import warnings
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from serving.engines.speaker_clustering import (
    SpeakerClusteringEngine,
    SpeakerClusteringOptions,
    _frames_alone,
)
from serving.ports import Embeddings
from serving.speech import Diarization, SpanSegmentation, SpeakerBounds, SpeakerTurn

FRAMES, LOCAL, DIMENSION = 589, 3, 192
OPTIONS = SpeakerClusteringOptions(threshold=0.85, embedding_model="made")


@dataclass(frozen=True)
class Voices:
    """A recording of known speakers, as the two engines before clustering would describe it."""

    span: SpanSegmentation
    embeddings: Embeddings


def conversation(speakers: int, chunks: int, seed: int = 0, noise: float = 0.3) -> Voices:
    """Speakers take turns of 3 to 5 s, sometimes two at once; each chunk numbers them anew."""
    rng = np.random.default_rng(seed)
    seconds = chunks + 10
    talk = np.zeros((seconds * 59, speakers), dtype=bool)
    start, turn = 0, 0
    while start < len(talk):
        length = int(rng.integers(3 * 59, 5 * 59))
        # Everybody gets a turn before anybody gets the next, so that all can be found.
        talk[start : start + length, turn % speakers] = True
        start, turn = start + length - int(rng.integers(0, 40)), turn + 1
    centres = rng.normal(size=(speakers, DIMENSION))
    activity = np.zeros((chunks, FRAMES, LOCAL), dtype=np.uint8)
    embeddings = np.full((chunks, LOCAL, DIMENSION), np.nan, dtype=np.float32)
    for chunk in range(chunks):
        heard = talk[chunk * 59 : chunk * 59 + FRAMES]
        loudest = np.argsort(-heard.sum(axis=0), kind="stable")[:LOCAL]
        for local, speaker in enumerate(rng.permutation(loudest)):
            activity[chunk, : len(heard), local] = heard[:, speaker]
            if heard[:, speaker].any():
                spread = noise * rng.normal(size=DIMENSION)
                embeddings[chunk, local] = centres[speaker] + spread
    return Voices(span(activity), embeddings)


def span(activity) -> SpanSegmentation:
    return SpanSegmentation(activity, 10.0, 1.0, 0.0619375, 0.016875)


@pytest.fixture(scope="module")
def engine() -> SpeakerClusteringEngine:
    loaded = SpeakerClusteringEngine(OPTIONS)
    loaded.load()
    return loaded


def cluster(engine: SpeakerClusteringEngine, voices: Voices, **bounds) -> Diarization:
    return engine.cluster([voices.span], [voices.embeddings], SpeakerBounds(**bounds))


def plain(voices: Voices, **bounds):
    """`SpeakerDiarization.apply` itself, from where segmentation and embeddings are known."""
    from pyannote.audio import Pipeline
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    frames = SlidingWindow(duration=0.0619375, step=0.016875, start=0.0)
    model = SimpleNamespace(specifications=SimpleNamespace(powerset=True), receptive_field=frames)

    class Plain(SpeakerDiarization):
        def __init__(self) -> None:
            Pipeline.__init__(self)
            self.legacy = False
            self.embedding_exclude_overlap = True
            self._expects_num_speakers = False
            self._segmentation = SimpleNamespace(model=model)
            self.segmentation = SimpleNamespace(min_duration_off=0.0)
            self.clustering = AgglomerativeClustering().instantiate(
                {"method": "centroid", "min_cluster_size": 12, "threshold": 0.85}
            )

        def get_segmentations(self, file, hook=None):
            chunks = SlidingWindow(duration=10.0, step=1.0, start=0.0)
            return SlidingWindowFeature(voices.span.activity.astype(np.float32), chunks)

        def get_embeddings(self, file, *_, **__):
            return voices.embeddings.copy()

    with warnings.catch_warnings():
        # It warns where it could not find as many speakers as asked for.
        warnings.simplefilter("ignore", UserWarning)
        return Plain().apply({"uri": "made"}, **bounds)


def turns(annotation) -> tuple[SpeakerTurn, ...]:
    tracks = annotation.itertracks(yield_label=True)
    return tuple(sorted((SpeakerTurn(s.start, s.end, label) for s, _, label in tracks), key=key))


def key(turn: SpeakerTurn) -> tuple[float, float, str]:
    return (turn.start, turn.end, turn.speaker)


def in_order(found: tuple[SpeakerTurn, ...]) -> tuple[SpeakerTurn, ...]:
    return tuple(sorted(found, key=key))


# With more than 16 clusters NumPy sorts by another algorithm, in which equal scores fall otherwise.
@pytest.mark.parametrize(
    ("speakers", "chunks", "bounds"),
    [
        (1, 30, {}),
        (2, 3, {}),
        (3, 60, {}),
        (3, 60, {"exact": 2}),
        (3, 60, {"exact": 1}),
        (4, 120, {"minimum": 6}),
        (5, 120, {"maximum": 3}),
        (24, 500, {"maximum": 40}),
    ],
)
def test_the_result_is_that_of_pyannotes_pipeline(engine, speakers, chunks, bounds):
    voices = conversation(speakers, chunks, seed=speakers)
    ours = cluster(engine, voices, **bounds)
    theirs = plain(
        voices,
        num_speakers=bounds.get("exact"),
        min_speakers=bounds.get("minimum", 1),
        max_speakers=bounds.get("maximum", 20),
    )
    assert in_order(ours.turns) == turns(theirs.speaker_diarization)
    assert in_order(ours.exclusive_turns) == turns(theirs.exclusive_speaker_diarization)
    assert ours.speakers == tuple(theirs.speaker_diarization.labels())
    # pyannote gives zeros to a speaker without a vector; such a one is absent from ours.
    named = zip(theirs.speaker_diarization.labels(), theirs.speaker_embeddings, strict=True)
    for label, vector in named:
        if vector.any():
            assert ours.embeddings[label] @ (vector / np.linalg.norm(vector)) > 0.9


def test_an_embedding_is_the_mean_by_frames_alone(engine):
    voices = conversation(3, 80, seed=5)
    found = cluster(engine, voices)
    means = {label: np.zeros(DIMENSION) for label in found.speakers}
    for activity, vectors in zip(voices.span.activity, voices.embeddings, strict=True):
        alone = activity[activity.sum(axis=1) == 1].sum(axis=0)
        for frames, vector in zip(alone, vectors, strict=True):
            if frames and np.isfinite(vector).all():
                unit = vector / np.linalg.norm(vector)
                # Voices are far apart and all chunks heard: the nearest is the one it came from.
                nearest = max(means, key=lambda label: np.dot(found.embeddings[label], unit))
                means[nearest] += frames * unit
    for label, mean in means.items():
        np.testing.assert_allclose(found.embeddings[label], mean / np.linalg.norm(mean), atol=1e-6)


def test_who_is_never_heard_alone_has_turns_but_no_embedding(engine):
    activity = np.zeros((30, FRAMES, LOCAL), dtype=np.uint8)
    activity[:, :, 0] = 1
    activity[:, 200:400, 1] = 1
    rng = np.random.default_rng(0)
    vectors = np.full((30, LOCAL, DIMENSION), np.nan, dtype=np.float32)
    vectors[:, :2] = np.eye(DIMENSION)[:2] + 0.01 * rng.normal(size=(30, 2, DIMENSION))
    found = cluster(engine, Voices(span(activity), vectors))
    assert len(found.speakers) == 2
    assert len(found.embeddings) == 1
    clean = dict(found.clean_seconds)
    (heard,) = found.embeddings
    assert clean.pop(heard) > 10
    assert list(clean.values()) == [0.0]


def test_clean_seconds_are_those_without_anybody_else(engine):
    found = cluster(engine, conversation(4, 100, seed=3))
    assert found.clean_seconds.keys() == set(found.speakers)
    active = np.zeros((len(found.speakers), 110_000), dtype=bool)
    for turn in found.turns:
        row = found.speakers.index(turn.speaker)
        active[row, round(turn.start * 1000) : round(turn.end * 1000)] = True
    alone = (active & (active.sum(axis=0) == 1)).sum(axis=1) / 1000
    for label, seconds in zip(found.speakers, alone, strict=True):
        assert found.clean_seconds[label] == pytest.approx(seconds, abs=0.1)


def test_spans_make_no_difference(engine):
    voices = conversation(3, 100)
    parts = [slice(0, 30), slice(30, 60), slice(60, 100)]
    whole = cluster(engine, voices)
    split = engine.cluster(
        [span(voices.span.activity[part]) for part in parts],
        [voices.embeddings[part] for part in parts],
        SpeakerBounds(),
    )
    assert split == whole


def test_nobody_speaks(engine):
    silence = span(np.zeros((5, FRAMES, LOCAL), dtype=np.uint8))
    empty = np.full((5, LOCAL, DIMENSION), np.nan, dtype=np.float32)
    assert engine.cluster([silence], [empty], SpeakerBounds()) == Diarization((), (), {}, "made")
    assert engine.cluster([], [], SpeakerBounds()) == Diarization((), (), {}, "made")


def test_speech_without_any_usable_vector_is_one_speaker_without_an_embedding(engine):
    voices = conversation(2, 20)
    vectors = np.full_like(voices.embeddings, np.nan)
    found = cluster(engine, Voices(voices.span, vectors), maximum=1)
    assert found.speakers == ("SPEAKER_00",)
    assert found.clean_seconds["SPEAKER_00"] > 0
    assert found.embeddings == {}


def test_some_unusable_vectors_do_no_harm(engine):
    voices = conversation(3, 60)
    vectors = voices.embeddings.copy()
    vectors[::7] = np.nan
    found = cluster(engine, Voices(voices.span, vectors))
    assert len(found.speakers) == 3
    lengths = np.linalg.norm(list(found.embeddings.values()), axis=1)
    np.testing.assert_allclose(lengths, 1.0)


def test_exclusive_turns_never_overlap_and_name_the_same_speakers(engine):
    found = cluster(engine, conversation(4, 150))
    ends = [turn.end for turn in found.exclusive_turns]
    starts = [turn.start for turn in found.exclusive_turns]
    assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))
    assert {turn.speaker for turn in found.exclusive_turns} <= set(found.speakers)
    assert set(found.embeddings) == set(found.speakers)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [({"maximum": 100}, 60), ({"exact": 60}, 60), ({"exact": 55}, 55), ({"maximum": 300}, 60)],
)
def test_more_than_fifty_speakers(engine, bounds, expected):
    found = cluster(engine, conversation(60, 1000, noise=0.1), **bounds)
    assert len(found.speakers) == expected
    assert len(found.embeddings) == expected


def test_more_clusters_than_a_signed_byte_counts(engine):
    found = cluster(engine, conversation(130, 2200, noise=0.05), maximum=200)
    assert len(found.speakers) == 130


def test_a_bounded_number_of_points_is_clustered_and_the_rest_assigned(engine):
    bounded = SpeakerClusteringEngine(
        SpeakerClusteringOptions(0.85, embedding_model="made", max_clustered_embeddings=100)
    )
    bounded.load()
    voices = conversation(4, 600)
    renamed = {(turn.start, turn.end): turn.speaker for turn in cluster(bounded, voices).turns}
    expected = {(turn.start, turn.end): turn.speaker for turn in cluster(engine, voices).turns}
    assert renamed.keys() == expected.keys()
    assert len({(renamed[place], expected[place]) for place in renamed}) == 4


def test_memory_does_not_hold_every_speaker_in_every_chunk(engine):
    voices = conversation(40, 900, noise=0.1)
    tracemalloc.start()
    cluster(engine, voices, exact=40)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    floats_of_pyannote = 900 * FRAMES * 40 * 8
    assert peak < floats_of_pyannote / 3


def test_voiceprints_of_ten_hours_need_no_array_of_frames(engine):
    voices = conversation(2, 600)
    chunks = 36_000
    activity = np.tile(voices.span.activity, (chunks // 600, 1, 1))
    tracemalloc.start()
    _frames_alone(activity)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < activity.nbytes
