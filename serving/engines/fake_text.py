"""Text embeddings without weights, deterministic: for everything that is not about a model."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DIMENSION = 1000
WORD = re.compile(r"\w+")
STOP_WORDS = frozenset(
    WORD.findall(
        "a about all an and any are as at be been but by can did do does for from had has have he "
        "her his how i if in into is it its me my no not of on or our out she so that the their "
        "them then there they this to up us was we were what when where which who why will with "
        "would you your"
    )
)


class FakeTextEmbedder:
    """Texts that share words are near: a bag of words, in which English stop words do not count.

    Texts of n and m other words with k of them in common have a cosine of about k / √(n · m).
    """

    dimension = DIMENSION

    def load(self) -> None:
        """Nothing to load."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One unit vector per text."""
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[[_place(word) for word in _words(text)]] = 1
        found: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return found


def _words(text: str) -> set[str]:
    """What a text is about; where that is nothing, it is about nothing."""
    return set(WORD.findall(text.lower())) - STOP_WORDS or {""}


def _place(word: str) -> int:
    digest = hashlib.sha256(word.encode(errors="replace")).digest()
    return int.from_bytes(digest[:8]) % DIMENSION
