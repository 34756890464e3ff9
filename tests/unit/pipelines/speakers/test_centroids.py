"""A profile's voiceprint from its samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.queries.voiceprints import Sample
from pipelines.speakers.centroids import FULL_WEIGHT_SECONDS, means

VECTORS = st.lists(st.floats(0.125, 10, width=32), min_size=3, max_size=3).map(tuple)
SAMPLES = st.lists(
    st.builds(Sample, st.sampled_from("xy"), VECTORS, st.floats(1, 1000)), max_size=6
)


@given(SAMPLES)
def test_each_model_has_its_own_of_length_one(samples):
    found = means(samples)
    assert found.keys() == {sample.model for sample in samples}
    for model, mean in found.items():
        of_it = [sample for sample in samples if sample.model == model]
        assert np.linalg.norm(mean.embedding) == pytest.approx(1)
        assert mean.samples == len(of_it)
        assert mean.clean_seconds == pytest.approx(sum(s.clean_seconds for s in of_it))


def test_more_speech_counts_more_up_to_a_minute():
    def share(seconds: float) -> float:
        samples = [Sample("x", (1.0, 0.0), seconds), Sample("x", (0.0, 1.0), 30.0)]
        mean = means(samples)["x"].embedding
        return mean[0] / mean[1]

    assert share(30) == pytest.approx(1)
    assert share(FULL_WEIGHT_SECONDS) == pytest.approx(2)
    assert share(36_000) == pytest.approx(2)


def test_a_person_of_whom_nothing_is_known_has_none():
    assert means([]) == {}
    assert means([Sample("x", (1.0, 0.0), 9), Sample("x", (-1.0, 0.0), 9)]) == {}
