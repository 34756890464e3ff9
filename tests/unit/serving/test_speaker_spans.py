"""Spans are cut so that their chunks, in order, are the recording's chunks."""

from hypothesis import given
from hypothesis import strategies as st

from serving.audio import chunk_count, spans
from serving.speech import SAMPLE_RATE

CHUNK = 10 * SAMPLE_RATE
STEP = SAMPLE_RATE


def chunks(start: int, end: int) -> list[tuple[int, int]]:
    """Sample ranges of the chunks of [start, end), the last one cut at the end."""
    firsts = (start + index * STEP for index in range(chunk_count(end - start)))
    return [(first, min(end, first + CHUNK)) for first in firsts]


@given(total=st.integers(1, 4000 * SAMPLE_RATE), per_span=st.integers(1, 400))
def test_the_chunks_of_all_spans_are_the_chunks_of_the_recording(total: int, per_span: int):
    cut = spans(total, chunks_per_span=per_span)
    assert [chunk for start, end in cut for chunk in chunks(start, end)] == chunks(0, total)


@given(total=st.integers(1, 4000 * SAMPLE_RATE))
def test_spans_cover_the_recording_and_each_is_bounded(total: int):
    cut = spans(total)
    assert cut[0][0] == 0
    assert cut[-1][1] == total
    assert all(end - start <= 309 * SAMPLE_RATE for start, end in cut)


@given(total=st.integers(1, 100 * SAMPLE_RATE))
def test_the_last_chunk_reaches_the_end_and_the_one_before_does_not(total: int):
    count = chunk_count(total)
    assert (count - 1) * STEP + CHUNK >= total
    assert count == 1 or (count - 2) * STEP + CHUNK < total


def test_no_samples_no_spans():
    assert spans(0) == ()
