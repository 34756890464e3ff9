"""The weighted mean of voices."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serving.speech import SpeakerTurn
from serving.voiceprints import clean_seconds, mean_voiceprint

FLOATS = st.floats(-1e6, 1e6, width=32) | st.just(math.nan) | st.just(math.inf)
WEIGHTS = st.floats(0, 1e6) | st.just(math.nan)


@st.composite
def voices(draw):
    count, dimension = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    embeddings = draw(arrays(np.float32, (count, dimension), elements=FLOATS))
    return embeddings, draw(arrays(np.float64, (count,), elements=WEIGHTS))


@given(voices())
def test_it_is_a_unit_vector_or_nothing(case):
    found = mean_voiceprint(*case)
    assert found is None or math.isclose(math.hypot(*found), 1.0, abs_tol=1e-9)


@given(voices(), st.floats(1e-3, 1e3))
def test_neither_loudness_nor_the_unit_of_the_weights_matters(case, factor):
    embeddings, weights = case
    long_enough = np.nan_to_num(np.abs(embeddings)).max(axis=1, initial=0) > 1e-2
    kept = embeddings[long_enough].astype(np.float64), weights[long_enough]
    scaled = kept[0] * factor, kept[1] * factor
    expected, found = mean_voiceprint(*kept), mean_voiceprint(*scaled)
    if expected is not None and found is not None:
        # Directions that nearly cancel leave rounding behind.
        np.testing.assert_allclose(found, expected, atol=1e-6)


@given(voices(), st.randoms(use_true_random=False))
def test_neither_order_nor_useless_rows_matter(case, random):
    embeddings, weights = case
    order = list(range(len(embeddings)))
    random.shuffle(order)
    useless = np.full((2, embeddings.shape[1]), np.nan), np.ones(2)
    weightless = np.ones((1, embeddings.shape[1])), np.zeros(1)
    more = np.concatenate([embeddings[order], useless[0], weightless[0]])
    expected = mean_voiceprint(embeddings, weights)
    found = mean_voiceprint(more, np.concatenate([weights[order], useless[1], weightless[1]]))
    if expected is not None and found is not None:
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_voice_alone_is_itself():
    assert mean_voiceprint(np.array([[3.0, 4.0]]), np.array([7.0])) == pytest.approx((0.6, 0.8))


def test_weights_say_how_much_each_counts():
    found = mean_voiceprint(np.array([[10.0, 0.0], [0.0, 1.0]]), np.array([3, 1]))
    assert found == pytest.approx((3 / math.sqrt(10), 1 / math.sqrt(10)))


@pytest.mark.parametrize(
    ("embeddings", "weights"),
    [
        (np.zeros((0, 4)), np.zeros(0)),
        (np.full((2, 4), np.nan), np.ones(2)),
        (np.zeros((2, 4)), np.ones(2)),
        (np.ones((2, 4)), np.array([0.0, -1.0])),
        (np.ones((1, 4)), np.array([np.inf])),
        (np.array([[1.0, 0.0], [-2.0, 0.0]]), np.ones(2)),
    ],
    ids=["nobody", "nan", "zeros", "weightless", "infinite-weight", "opposites"],
)
def test_there_may_be_no_direction(embeddings, weights):
    assert mean_voiceprint(embeddings, weights) is None


def test_extreme_numbers_do_not_overflow():
    embeddings = np.array([[1e300, 0.0], [0.0, 1e-3]])
    found = mean_voiceprint(embeddings, np.array([1e308, 1e308]))
    assert found == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))


@pytest.mark.parametrize("shape", [(2,), (2, 3, 4), (3, 4)])
def test_shapes_must_go_together(shape):
    with pytest.raises(ValueError, match="do not go with"):
        mean_voiceprint(np.ones(shape), np.ones(2))


SECONDS = st.integers(0, 20)
TURNS = st.lists(st.builds(SpeakerTurn, SECONDS, SECONDS, st.sampled_from("ABC")), max_size=8)


@given(TURNS)
def test_clean_seconds_are_counted_second_by_second(turns):
    forward = [turn for turn in turns if turn.start <= turn.end]
    expected = dict.fromkeys({turn.speaker for turn in forward}, 0)
    for second in range(20):
        heard = {turn.speaker for turn in forward if turn.start <= second < turn.end}
        if len(heard) == 1:
            expected[heard.pop()] += 1
    assert clean_seconds(forward) == expected
