"""TextEmbedder: vectors of texts, a list per call, batched over callers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica
from serving.deployments.batching import Batcher
from serving.ports import TextEmbeddings

Vector = npt.NDArray[np.float32]


class TextEmbedder(EngineReplica):
    """What texts are about.

    A text that comes alone is what somebody looks for, and waits. Those that come together are
    what is indexed: of these no more than one batch is before it, since each kind has one batch at
    a time in the pool, whose one thread takes them in turn.
    """

    role = "text_embedder"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._alone = self._batcher(arguments)
        self._together = self._batcher(arguments)
        self.batchers = {"embed_alone": self._alone, "embed_together": self._together}
        self._text_model = arguments.text_embedding_identity

    def _batcher(self, arguments: SpeechArguments) -> Batcher[str, Vector]:
        return Batcher(
            self.engine.embed,
            pool=self.pool,
            size=arguments.text_batch_size,
            wait_seconds=0.0,
            concurrent=1,
            stuck_seconds=arguments.stuck_batch_seconds,
        )

    async def stats(self) -> dict[str, Any]:
        """What every replica tells, and of which model its vectors are."""
        return {**await super().stats(), "text_model": self._text_model}

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        """One vector per text."""
        batcher = self._alone if len(texts) == 1 else self._together
        found = await asyncio.gather(*map(batcher, texts))
        vectors = np.zeros((len(texts), self.engine.dimension), dtype=np.float32)
        if found:
            vectors[:] = found
        return TextEmbeddings(self._text_model, vectors)
