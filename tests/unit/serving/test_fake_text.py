"""Fake text embeddings: texts that share words are near, and nothing else is."""

import numpy as np
import pytest

from serving.engines.fake_text import DIMENSION, FakeTextEmbedder


def cosines(*texts: str) -> np.ndarray:
    vectors = FakeTextEmbedder().embed(texts)
    assert vectors.shape == (len(texts), DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    return vectors @ vectors.T


def test_the_more_words_two_texts_share_the_nearer_they_are():
    found = cosines("alpha bravo charlie", "Alpha, bravo and delta", "echo", "charlie")
    assert found[0, 1] == pytest.approx(2 / 3)
    assert found[0, 3] == pytest.approx(1 / np.sqrt(3))
    assert found[0, 2] == found[1, 3] == 0


def test_stop_words_do_not_count():
    assert cosines("What did they say about alpha?", "say alpha")[0, 1] == pytest.approx(1)
    assert cosines("the", "", "alpha")[0].tolist() == [1, 1, 0]


def test_of_no_texts_there_are_no_vectors_of_the_models_dimension():
    assert FakeTextEmbedder().embed([]).shape == (0, DIMENSION)


def test_what_is_no_text_in_any_encoding_is_embedded_too():
    assert cosines("\ud800", "東京 café", "東京")[1, 2] == pytest.approx(1 / np.sqrt(2))
