"""Which voices are alike: by true cosine, within one model."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.settings import VoiceSettings
from db.queries.voiceprints import Voiceprint
from pipelines.speakers.matching import alike
from pipelines.speakers.points import by_space, units

SETTINGS = VoiceSettings(medium=0.5)
NUMBERS = st.floats(-1e3, 1e3, width=32)


@st.composite
def voices(draw, first: int):
    count = draw(st.integers(0, 4))
    dimensions = st.sampled_from([2, 3])
    made = []
    for number in range(count):
        dimension = draw(dimensions)
        vector = draw(st.lists(NUMBERS, min_size=dimension, max_size=dimension))
        made.append(
            Voiceprint(uuid.UUID(int=first + number), draw(st.sampled_from("xy")), tuple(vector))
        )
    return units(made)


def cosine(one: Voiceprint, other: Voiceprint) -> float:
    return float(np.dot(one.embedding, other.embedding))


@given(voices(0), voices(100))
def test_pairs_of_one_model_that_are_near_and_no_others(own, others):
    asked = {(one.id, other.id) for one in own for other in others}
    found = dict(alike(own, others, asked, SETTINGS))
    for one in own:
        for other in others:
            comparable = one.model == other.model and len(one.embedding) == len(other.embedding)
            if not comparable or cosine(one, other) < 0.5 - 1e-6:
                assert (one.id, other.id) not in found
            elif cosine(one, other) > 0.5 + 1e-6:
                assert found[one.id, other.id] == pytest.approx(cosine(one, other), abs=1e-6)
                assert found[one.id, other.id] <= 1


def test_what_nobody_asked_for_is_not_said():
    one = Voiceprint(uuid.UUID(int=1), "x", (1.0, 0.0))
    other = Voiceprint(uuid.UUID(int=2), "x", (1.0, 0.0))
    assert list(alike([one], [other], set(), SETTINGS)) == []


@given(voices(0))
def test_voiceprints_that_are_compared_have_length_one(own):
    assert all(cosine(voice, voice) == pytest.approx(1) for voice in own)
    assert sum(len(group) for group in by_space(own).values()) == len(own)


@pytest.mark.parametrize("vector", [(), (0.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_what_has_no_direction_is_left_out(vector):
    assert units([Voiceprint(uuid.UUID(int=1), "x", vector)]) == []
