"""Turns of speakers that people merge, split and remove."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.speakers import turns
from pipelines.speakers.structure import next_label

MILLISECONDS = st.integers(0, 20_000)
SPANS = st.lists(
    st.tuples(MILLISECONDS, st.integers(1, 3000)).map(
        lambda pair: (pair[0] / 1000, (pair[0] + pair[1]) / 1000)
    ),
    max_size=12,
)
TURNS = st.lists(
    st.tuples(MILLISECONDS, st.integers(1, 3000), st.sampled_from(["A", "B", "C"])).map(
        lambda turn: [turn[0] / 1000, (turn[0] + turn[1]) / 1000, turn[2]]
    ),
    max_size=12,
)


def speaking(told: list, label: str) -> set[int]:
    """The milliseconds in which somebody speaks."""
    heard = [(round(1000 * t[0]), round(1000 * t[1])) for t in told if t[2] == label]
    return {moment for start, end in heard for moment in range(start, end)}


@given(TURNS)
def test_merged_turns_cover_both_and_do_not_touch(told):
    made = turns.merged(told, "A", "B")
    assert speaking(made, "A") == set()
    assert speaking(made, "B") == speaking(told, "A") | speaking(told, "B")
    assert [turn for turn in made if turn[2] == "C"] == sorted(t for t in told if t[2] == "C")
    mine = [turn for turn in made if turn[2] == "B"]
    assert all(one[1] < other[0] for one, other in pairwise(mine))
    assert made == sorted(made)


@given(TURNS, SPANS)
def test_a_split_divides_what_somebody_says(told, spans):
    made = turns.split(told, "A", "D", spans)
    inside = speaking([[start, end, "x"] for start, end in spans], "x")
    assert speaking(made, "D") == speaking(told, "A") & inside
    assert speaking(made, "A") == speaking(told, "A") - inside
    for label in "BC":
        assert speaking(made, label) == speaking(told, label)
    assert all(start < end for start, end, _ in made)


@given(TURNS)
def test_whoever_is_removed_says_nothing(told):
    made = turns.without(told, "A")
    assert made == [turn for turn in told if turn[2] != "A"]


@given(TURNS)
def test_seconds_are_those_of_the_turns(told):
    in_all, alone = turns.seconds(told, "A")
    assert in_all == pytest.approx(sum(t[1] - t[0] for t in told if t[2] == "A"))
    others = speaking(told, "B") | speaking(told, "C")
    assert alone == pytest.approx(len(speaking(told, "A") - others) / 1000, abs=1e-6)


def test_spans_that_touch_are_one():
    assert turns.union([(2.0, 3.0), (0.0, 1.0), (1.0, 1.5)]) == [(0.0, 1.5), (2.0, 3.0)]


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ([], "SPEAKER_00"),
        (["SPEAKER_00", "SPEAKER_07"], "SPEAKER_08"),
        (["the host"], "SPEAKER_00"),
        (["SPEAKER_99"], "SPEAKER_100"),
    ],
)
def test_the_next_label(labels, label):
    assert next_label(labels) == label
