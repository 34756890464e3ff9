"""Recordings strung together: what is known of them by construction is true."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.speech import SAMPLE_RATE, SpeakerTurn
from tests.bench.corpus import (
    BRIDGED_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Clip,
    joined,
    lengths,
    loud_turns,
)


def tone(seconds: float, loudness: int = 8000) -> np.ndarray:
    moments = np.arange(round(seconds * SAMPLE_RATE))
    return (loudness * np.sin(moments * 2 * np.pi * 200 / SAMPLE_RATE)).astype(np.int16)


def test_turns_are_where_it_is_loud_and_short_pauses_are_bridged():
    pieces = [tone(1.0, 5), tone(2.0), tone(0.3, 5), tone(1.0), tone(1.5, 5), tone(0.7)]
    found = loud_turns(np.concatenate(pieces), "a")
    times = [moment for turn in found for moment in (turn.start, turn.end)]
    assert times == pytest.approx([1.0, 4.3, 5.8, 6.5], abs=0.03)
    assert BRIDGED_SECONDS > 0.3


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6), st.integers(0, 99))
def test_text_and_turns_of_clips_are_those_of_the_whole(names, seed):
    clips = {
        name: Clip(tone(1 + at), name, (SpeakerTurn(0.1, 0.9 + at, name),))
        for at, name in enumerate("abc")
    }
    whole = joined("w", [clips[name] for name in names], random.Random(seed))
    assert whole.text.split() == names
    assert [turn.speaker for turn in whole.turns] == names
    for turn, name in zip(whole.turns, names, strict=True):
        start, end = (round(moment * SAMPLE_RATE) for moment in (turn.start, turn.end))
        original = clips[name].audio[round(0.1 * SAMPLE_RATE) :][: end - start]
        np.testing.assert_array_equal(whole.audio[start:end], original)


@given(minutes=st.floats(2, 30), files=st.integers(6, 60))
def test_lengths_are_within_bounds_and_add_up_where_they_can(minutes, files):
    seconds = 60 * minutes
    found = lengths(seconds, files, random.Random(1))
    longest = min(LONGEST_SECONDS, seconds / 4)
    assert len(found) == files
    assert min(found) >= SHORTEST_SECONDS - 1e-6
    assert max(found) <= longest + 1e-6
    if files * SHORTEST_SECONDS * 1.5 < seconds < files * longest / 1.5:
        assert sum(found) == pytest.approx(seconds, rel=0.2)
