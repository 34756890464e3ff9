"""Spans are cut so that their chunks, in order, are the recording's chunks."""

from hypothesis import given
from hypothesis import strategies as st

from serving.audio import (
    CHUNK_SECONDS,
    SKIPPED_SECONDS,
    SPAN_SECONDS,
    ChunkRun,
    chunk_count,
    heard_runs,
    spans,
)
from serving.speech import SAMPLE_RATE, SpeechRegion

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


@st.composite
def speech(draw) -> tuple[int, list[SpeechRegion], float]:
    """The samples of a recording, where there is speech in it, and a step between chunks."""
    regions, at = [], 0.0
    for gap, length in draw(
        st.lists(st.tuples(st.floats(0.01, 80), st.floats(0.1, 30)), min_size=1, max_size=20)
    ):
        regions.append(SpeechRegion(at + gap, at + gap + length))
        at = regions[-1].end
    total = round((at + draw(st.floats(0, 60))) * SAMPLE_RATE)
    return total, regions, draw(st.sampled_from([0.5, 1.0, 2.5, 5.0, 10.0]))


def hears(chunk: int, step: float, regions: list[SpeechRegion]) -> bool:
    start = chunk * step
    return any(r.start < start + CHUNK_SECONDS and r.end > start for r in regions)


@given(speech())
def test_every_chunk_that_hears_speech_is_in_a_run_and_long_silence_is_in_none(case):
    total, regions, step = case
    chunks = chunk_count(total, step_seconds=step)
    runs = heard_runs(total, regions, step)
    inside = [chunk for run in runs for chunk in range(run.first, run.first + run.chunks)]
    assert inside == sorted(set(inside))
    assert all(0 <= chunk < chunks for chunk in inside)
    heard = [chunk for chunk in range(chunks) if hears(chunk, step, regions)]
    assert set(heard) <= set(inside)
    for chunk in set(inside) - set(heard):
        # In a gap that is too short to be worth another span.
        before = max(other for other in heard if other < chunk)
        after = min(other for other in heard if other > chunk)
        assert (after - before - 1) * step < SKIPPED_SECONDS


@given(speech())
def test_runs_are_bounded_and_those_of_one_stretch_are_about_as_long_as_each_other(case):
    total, regions, step = case
    runs = heard_runs(total, regions, step)
    assert all(1 <= run.chunks <= SPAN_SECONDS / step for run in runs)
    stretches: list[list[ChunkRun]] = []
    for run in runs:
        if stretches and sum(stretches[-1][-1]) == run.first:
            stretches[-1].append(run)
        else:
            stretches.append([run])
    for stretch in stretches:
        counts = [run.chunks for run in stretch]
        assert max(counts) - min(counts) <= 1


@given(speech())
def test_the_samples_of_a_run_are_cut_into_its_chunks_again(case):
    total, regions, step = case
    for run in heard_runs(total, regions, step):
        start, end = run.samples(total, step)
        assert chunk_count(end - start, step_seconds=step) == run.chunks
        assert start == run.first * round(step * SAMPLE_RATE)


def test_a_recording_that_is_full_of_speech_is_cut_as_without_knowing():
    total = 1000 * SAMPLE_RATE
    everywhere = [SpeechRegion(0.0, 1000.0)]
    runs = heard_runs(total, everywhere, 2.5)
    assert runs[0].first == 0
    assert sum(run.chunks for run in runs) == chunk_count(total, step_seconds=2.5)
    assert len(runs) == len(spans(total, 2.5))


def test_without_speech_there_is_nothing_to_hear():
    assert heard_runs(100 * SAMPLE_RATE, []) == ()
