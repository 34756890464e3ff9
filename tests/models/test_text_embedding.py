"""Real text embeddings: texts about the same are near, whatever else is embedded beside them."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cluster.settings import PathSettings
from serving import catalogue
from serving.engines.text_embedding import TextEmbeddingEngine, TextEmbeddingOptions
from serving.errors import ModelUnavailable
from serving.model_kinds import Role
from tests.fixtures import speech

pytestmark = pytest.mark.models

PAIRS = (
    ("The factory will close in spring.", "They are going to shut down the plant next April."),
    ("Our revenue rose by a tenth.", "Sales grew ten percent."),
    ("She asked who takes the minutes.", "The question was who would write down what was said."),
    ("The patient complains of a headache.", "His head hurts, he told the doctor."),
    ("We have to hire two more engineers.", "The team needs additional developers."),
)
"""Each says the same twice, and shares hardly a word."""


def folder() -> Path:
    model_dir = speech.ROOT / PathSettings().model_dir
    try:
        return catalogue.resolve(
            catalogue.CPU_DEFAULTS.text_embedding, Role.text_embedding, model_dir
        )
    except ModelUnavailable as error:
        pytest.skip(str(error))


@cache
def engine(batch_size: int = 32) -> TextEmbeddingEngine:
    made = TextEmbeddingEngine(TextEmbeddingOptions(folder(), batch_size=batch_size))
    made.load()
    return made


def embed(*texts: str, batch_size: int = 32) -> np.ndarray:
    return engine(batch_size).embed(texts)


# Measured: 0.41 to 0.64 for what says the same, at most 0.26 for what does not.
def test_what_says_the_same_is_nearer_than_anything_else():
    first, second = (embed(*texts) for texts in zip(*PAIRS, strict=True))
    cosines = first @ second.T
    same = np.diag(cosines)
    others = cosines[~np.eye(len(PAIRS), dtype=bool)]
    assert same.min() > 0.35
    assert others.max() < 0.3
    assert (cosines.argmax(axis=1) == np.arange(len(PAIRS))).all()


def test_vectors_are_of_length_one_and_of_384_numbers():
    vectors = embed("alpha", "", "  ", "?", "東京", "\ud800", "\x00", "word " * 5000)
    assert vectors.shape == (8, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_of_no_texts_there_are_no_vectors():
    assert embed().shape == (0, 384)


def test_a_text_has_one_vector_in_whatever_company():
    texts = [" ".join(pair * (n % 4 + 1)) for n, pair in enumerate(PAIRS * 3)]
    together = embed(*texts, batch_size=4)
    alone = np.concatenate([embed(text) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_array_equal(embed(*texts), embed(*texts))


def test_capitals_do_not_count():
    same = embed("The Factory", "the factory")
    assert same[0] @ same[1] == pytest.approx(1)


def test_of_a_long_text_only_the_beginning_counts():
    limit = engine().max_tokens
    assert limit == 256
    # Two tokens say where a text begins and ends.
    full = " ".join(["factory"] * (limit - 2))
    longer, shorter = f"{full} revenue", full.removesuffix(" factory") + " revenue"
    cosines = embed(full) @ embed(longer, shorter).T
    assert cosines[0, 0] == pytest.approx(1, abs=1e-6)
    assert cosines[0, 1] < 0.9999


def test_what_is_no_such_model_is_refused(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match="run `make models`"):
        TextEmbeddingEngine(TextEmbeddingOptions(tmp_path)).load()
    broken = tmp_path / "broken"
    shutil.copytree(folder(), broken)
    (broken / "config.json").write_text('{"model_type": "nothing of the kind"}')
    with pytest.raises(ModelUnavailable, match="is no model of text embeddings"):
        TextEmbeddingEngine(TextEmbeddingOptions(broken)).load()
