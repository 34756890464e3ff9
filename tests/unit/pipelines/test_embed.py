"""Turns drawn on chunks, and the mean of what was heard in them. Pure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stages.embed import (
    CHUNKS_PER_SPAN,
    FRAMES_PER_SECOND,
    STEP_SECONDS,
    Span,
    cut,
    decode,
    encode,
    voiceprints,
)
from serving.speech import SAMPLE_RATE, SpeakerTurn
from serving.voiceprints import clean_seconds

SPAN_SECONDS = CHUNKS_PER_SPAN * STEP_SECONDS
HOUR = 3600


@st.composite
def turns(draw) -> list[SpeakerTurn]:
    starts = st.floats(0, HOUR - 1)
    lengths = st.floats(0.05, 700)
    return [
        SpeakerTurn(
            start, min(HOUR, start + draw(lengths)), f"SPEAKER_{draw(st.integers(0, 4)):02d}"
        )
        for start in draw(st.lists(starts, min_size=1, max_size=12))
    ]


@given(turns())
def test_every_turn_is_drawn_where_it_is_spoken(spoken):
    parts = cut(HOUR * SAMPLE_RATE, spoken)
    for label in {turn.speaker for turn in spoken}:
        drawn = sum(
            int(part.activity()[:, :, part.speakers.index(label)].sum())
            for part in parts
            if label in part.speakers
        )
        own = [turn for turn in spoken if turn.speaker == label]
        expected = sum(clean_seconds([SpeakerTurn(t.start, t.end, "one") for t in own]).values())
        # Each end of each turn is rounded to a frame.
        assert drawn / FRAMES_PER_SECOND == pytest.approx(expected, abs=0.02 * len(own) + 0.01)


@given(turns())
def test_spans_in_which_nobody_speaks_are_left_out(spoken):
    for part in cut(HOUR * SAMPLE_RATE, spoken):
        assert part.turns
        assert all(turn.start < part.end for turn in part.turns)
        assert all(turn.end >= part.start for turn in part.turns)


def test_a_turn_over_the_end_of_a_span_is_in_both():
    [first, second] = cut(HOUR * SAMPLE_RATE, [SpeakerTurn(299, 302, "A")])
    assert (first.start, first.end) == (0, SPAN_SECONDS)
    assert first.activity()[-1, :, 0].sum() == FRAMES_PER_SECOND
    assert second.activity()[0, :, 0].sum() == 2 * FRAMES_PER_SECOND


def test_the_last_chunk_may_reach_beyond_the_end():
    [part] = cut(3 * SAMPLE_RATE, [SpeakerTurn(0, 3, "A")])
    assert part.end == 3
    assert part.activity().shape == (1, STEP_SECONDS * FRAMES_PER_SECOND, 1)


def test_a_turn_beyond_the_recording_is_no_span():
    assert cut(3 * SAMPLE_RATE, [SpeakerTurn(700, 703, "A")]) == []
    assert cut(0, []) == []


def test_what_is_said_together_counts_for_nobody():
    part = Span(0, 20, [SpeakerTurn(0, 8, "A"), SpeakerTurn(10, 20, "A"), SpeakerTurn(10, 20, "B")])
    found = np.array([[[1.0, 0.0], [np.nan, np.nan]], [[0.0, 1.0], [0.0, 1.0]]], dtype=np.float32)
    means = voiceprints([part], [found])
    # The second chunk has nobody alone.
    assert means == {"A": (1.0, 0.0)}


def test_longer_speech_counts_more():
    part = Span(0, 20, [SpeakerTurn(0, 9, "A"), SpeakerTurn(10, 13, "A")])
    found = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], dtype=np.float32)
    assert voiceprints([part], [found])["A"] == pytest.approx(np.array([3, 1]) / np.sqrt(10))


def test_a_checkpoint_is_what_was_stored():
    found = np.array([[[1.0, np.nan]]], dtype=np.float32)
    assert np.array_equal(decode(encode(found)), found, equal_nan=True)
