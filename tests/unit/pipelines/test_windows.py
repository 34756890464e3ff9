"""Windows hold every region once, in order, and are never too long."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.windows import cut_windows
from serving.speech import SpeechRegion, Window

TICKS = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(1, 937)), max_size=60
)  # silence before, length: Silero's frames of 32 ms


def regions_of(ticks: list[tuple[int, int]]) -> list[SpeechRegion]:
    regions, now = [], 0
    for silence, length in ticks:
        start = now + silence
        now = start + length
        regions.append(SpeechRegion(start * 0.032, now * 0.032))
    return regions


@given(TICKS, st.sampled_from([29.99, 30.0]))
def test_every_region_is_in_one_window_in_order(ticks, longest):
    regions = regions_of(ticks)
    windows = cut_windows(regions, longest)
    assert [region for window in windows for region in window.regions] == regions
    assert [window.index for window in windows] == list(range(len(windows)))


@given(TICKS)
def test_windows_are_short_enough_and_apart(ticks):
    windows = cut_windows(regions_of(ticks))
    assert all(0 < window.end - window.start <= 30.0 for window in windows)
    assert all(a.end <= b.start for a, b in pairwise(windows))
    assert all(w.start == w.regions[0].start and w.end == w.regions[-1].end for w in windows)


@given(TICKS)
def test_a_window_is_full_or_ends_at_its_longest_late_pause(ticks):
    windows = cut_windows(regions_of(ticks))
    for window, following in pairwise(windows):
        full = following.regions[0].end - window.start > 30.0
        filled = window.end - window.start >= 20.0
        assert full or filled


def test_silence_counts():
    regions = [SpeechRegion(0, 10), SpeechRegion(20, 30), SpeechRegion(30.5, 31)]
    assert cut_windows(regions) == (
        Window(0, 0, 30, (regions[0], regions[1])),
        Window(1, 30.5, 31, (regions[2],)),
    )
    assert cut_windows(regions)[0].speech_seconds == 20


def test_no_speech_no_window():
    assert cut_windows([]) == ()


@pytest.mark.parametrize(
    "regions",
    [
        [SpeechRegion(0, 30.1)],
        [SpeechRegion(5, 6), SpeechRegion(1, 2)],
        [SpeechRegion(0, 2), SpeechRegion(1, 3)],
        [SpeechRegion(1, 1)],
    ],
    ids=["too long", "out of order", "overlapping", "empty"],
)
def test_regions_that_fit_no_window_are_refused(regions):
    with pytest.raises(ValueError, match="SpeechRegion"):
        cut_windows(regions)


def test_a_window_ends_at_the_longest_pause_of_its_last_third():
    """As in tree_safety_60s.opus, where filling up to 30 s cut "protect against" in two."""
    speech = [(0.1, 19.0), (19.5, 25.2), (28.3, 29.3), (29.3, 29.6), (29.6, 31.2), (31.3, 40.0)]
    windows = cut_windows([SpeechRegion(*region) for region in speech])
    assert [(window.start, window.end) for window in windows] == [(0.1, 25.2), (28.3, 40.0)]


def test_a_pause_in_the_first_two_thirds_does_not_end_a_window():
    speech = [(0.0, 5.0), (12.0, 29.0), (29.0, 31.0)]
    windows = cut_windows([SpeechRegion(*region) for region in speech])
    assert [(window.start, window.end) for window in windows] == [(0.0, 29.0), (29.0, 31.0)]
