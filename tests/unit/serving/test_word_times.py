"""Every word gets a time, in order, inside the window."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serving.engines.word_times import TimedWord, join_pieces, settle

EDGE = st.none() | st.floats(-5, 40, allow_nan=False)
WORD = st.builds(TimedWord, st.text("abc,.", min_size=1, max_size=9), EDGE, EDGE, st.floats(0, 1))


@given(st.lists(WORD, max_size=40), st.floats(0.01, 30))
def test_times_hold_together(found, duration):
    words = settle(found, duration)
    assert [word.word for word in words] == [item.word for item in found]
    assert all(0 <= word.start <= word.end <= duration for word in words)
    assert all(a.end <= b.start for a, b in pairwise(words))


def test_known_times_are_kept():
    found = [TimedWord("a", 1.0, 1.5, 0.9), TimedWord("b", 2.0, 2.25, 0.8)]
    assert [(w.start, w.end, w.probability) for w in settle(found, 3)] == [
        (1.0, 1.5, 0.9),
        (2.0, 2.25, 0.8),
    ]


def test_words_without_times_share_the_gap_by_letters():
    found = [TimedWord("a", 0, 1, 1.0), TimedWord("bb"), TimedWord("cccc"), TimedWord("d", 7, 8)]
    words = settle(found, 10)
    assert [(w.start, w.end) for w in words] == [(0, 1), (1, 3), (3, 7), (7, 8)]
    assert [w.probability for w in words[1:3]] == [0, 0]


def test_nothing_known_spreads_over_the_window():
    words = settle([TimedWord("aa"), TimedWord("bb")], 4)
    assert [(w.start, w.end) for w in words] == [(0, 2), (2, 4)]


def test_a_word_that_ends_before_it_starts_is_a_moment():
    words = settle([TimedWord("a", 2, 1), TimedWord("b", 1.5, 3)], 4)
    assert [(w.start, w.end) for w in words] == [(2, 2), (2, 3)]


def test_pieces_without_a_space_continue_the_word():
    pieces = [
        TimedWord(" an", 0, 1, 0.5),
        TimedWord(" ill", 1, 2, 1.0),
        TimedWord("-disposed", 2, 3, 0.5),
        TimedWord(' "', 3, 3, 0.2),
        TimedWord("man", 3, 4, 0.8),
        TimedWord('."', 4, 4, 0.5),
    ]
    assert join_pieces(pieces) == [
        TimedWord("an", 0, 1, 0.5),
        TimedWord("ill-disposed", 1, 3, 0.75),
        TimedWord('"man."', 3, 4, 0.5),
    ]
