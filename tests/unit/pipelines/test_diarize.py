"""Diarize: what was not heard is silence in its place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stages.diarize import decode, encode, whole
from serving.audio import ChunkRun
from serving.speech import SpanSegmentation

FRAMES, SPEAKERS, DIMENSION = 5, 3, 4


def voices(count: int, mark: int) -> tuple[SpanSegmentation, np.ndarray]:
    """A span whose embeddings say which it is."""
    activity = np.ones((count, FRAMES, SPEAKERS), dtype=np.uint8)
    vectors = np.full((count, SPEAKERS, DIMENSION), mark, dtype=np.float32)
    return SpanSegmentation(activity, 10.0, 2.5, 0.06, 0.017), vectors


@given(
    gaps=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=6),
    tail=st.integers(0, 6),
)
def test_every_chunk_has_its_place(gaps, tail):
    runs, at = [], 0
    for gap, count in gaps:
        runs.append(ChunkRun(at + gap, count))
        at += gap + count
    heard = [voices(run.chunks, mark) for mark, run in enumerate(runs)]
    pieces = list(whole(runs, heard, at + tail))
    activity = np.concatenate([segmentation.activity for segmentation, _ in pieces])
    vectors = np.concatenate([embeddings for _, embeddings in pieces])
    expected = np.full(at + tail, -1)
    for mark, run in enumerate(runs):
        expected[run.first : run.first + run.chunks] = mark
    assert activity.any(axis=(1, 2)).tolist() == (expected >= 0).tolist()
    found = np.nan_to_num(vectors[:, 0, 0], nan=-1).astype(int)
    assert found.tolist() == expected.tolist()


def test_what_is_stored_comes_back():
    segmentation, vectors = voices(3, 7)
    again, vectors_again = decode(encode((segmentation, vectors)))
    np.testing.assert_array_equal(again.activity, segmentation.activity)
    np.testing.assert_array_equal(vectors_again, vectors)
    assert again.step_seconds == 2.5
