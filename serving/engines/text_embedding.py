"""Text embeddings: what texts are about, as unit vectors, by a sentence-transformers model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.engines.pyannote_model import in_halves
from serving.errors import ModelUnavailable

Vectors = npt.NDArray[np.float32]
"""Unit vectors, shape (texts, dimension)."""
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class TextEmbeddingOptions:
    """Which model, and how it runs. `model` is a folder that sentence-transformers wrote."""

    model: Path
    device: str = "cpu"
    threads: int = 2
    batch_size: int = 32
    """Texts per forward pass."""


class TextEmbeddingEngine:
    """Texts to unit vectors. Of a long text only the model's first tokens count (`max_tokens`)."""

    def __init__(self, options: TextEmbeddingOptions) -> None:
        self.options = options
        self.dimension = 0
        self.max_tokens = 0
        self._model: Any = None

    def load(self) -> None:
        """Read the model, from its folder alone; sets torch's threads.

        Raises:
            ModelUnavailable: files are missing, or it is no such model.
        """
        folder = self.options.model
        if not (folder / WEIGHTS).is_file():
            raise ModelUnavailable(f"no {WEIGHTS} in {folder}: run `make models`")
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(self.options.threads)
        try:
            self._model = SentenceTransformer(
                str(folder),
                device=self.options.device,
                local_files_only=True,
                # No pickles, and no code that comes with weights.
                model_kwargs={"use_safetensors": True},
                trust_remote_code=False,
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnavailable(f"{folder} is no model of text embeddings: {error}") from error
        self.dimension = int(self._model.get_embedding_dimension())
        self.max_tokens = int(self._model.max_seq_length)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order.

        Raises:
            OutOfMemory: not even one text fits.
        """
        # Half of a character that UTF-16 writes in two is no character: tokenizers refuse it.
        readable = [text.encode(errors="replace").decode() for text in texts]
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        # Long ones together: each is filled up to the longest of its batch.
        order = sorted(range(len(readable)), key=lambda n: len(readable[n]), reverse=True)
        for start in range(0, len(order), self.options.batch_size):
            batch = order[start : start + self.options.batch_size]
            vectors[batch] = in_halves(self._run, [readable[n] for n in batch])
        return vectors

    def _run(self, batch: Sequence[str]) -> list[Vectors]:
        found: Vectors = self._model.encode(
            list(batch),
            batch_size=len(batch),
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return list(found)
