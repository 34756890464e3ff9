"""TextEmbedder: vectors of texts, a list per call, batched over callers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica, Laned
from serving.deployments.batching import Batcher
from serving.deployments.waiting import Traits
from serving.ports import TextEmbeddings
from serving.speech import BULK, LIVE

Vector = npt.NDArray[np.float32]


class TextEmbedder(EngineReplica):
    """What texts are about.

    A text that comes alone is what somebody looks for, and waits: it goes first, and in a batch
    of its own kind. Those that come together are what is indexed: of these no more than the batch
    that runs is before it.
    """

    role = "text_embedder"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._embed: Batcher[Laned[str], Vector] = self.batcher(
            "embed",
            self._embed_all,
            lambda text: Traits(text.lane, text.lane),
            size=arguments.text_batch_size,
            wait_seconds=0.0,
        )
        self._text_model = arguments.text_embedding_identity

    def warm_up(self) -> None:
        """Embed a word; on a GPU a full batch."""
        full = self.arguments.device == "cuda"
        self.engine.embed(["ready"] * (self.arguments.text_batch_size if full else 1))

    async def stats(self) -> dict[str, Any]:
        """What every replica tells, and of which model its vectors are."""
        return {**await super().stats(), "text_model": self._text_model}

    def _embed_all(self, texts: Sequence[Laned[str]]) -> Sequence[Vector]:
        found: Sequence[Vector] = self.engine.embed([one.item for one in texts])
        return found

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        """One vector per text."""
        lane = LIVE if len(texts) == 1 else BULK
        found = await asyncio.gather(*(self._embed(Laned(text, lane)) for text in texts))
        vectors = np.zeros((len(texts), self.engine.dimension), dtype=np.float32)
        if found:
            vectors[:] = found
        return TextEmbeddings(self._text_model, vectors)
