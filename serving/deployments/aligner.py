"""Aligner: known text to word times, one window per call."""

import numpy as np

from serving.arguments import SpeechArguments
from serving.busy import served
from serving.deployments.base import EngineReplica
from serving.deployments.batching import Batcher
from serving.deployments.waiting import Traits
from serving.speech import SAMPLE_RATE, AlignmentRequest, Word, WordTiming


class Aligner(EngineReplica):
    """Forced alignment."""

    role = "aligner"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        # Its engines take one window after the other: to wait for more would gain nothing.
        self._align: Batcher[AlignmentRequest, tuple[Word, ...]] = self.batcher(
            "align",
            self.engine.align,
            lambda request: Traits(request.lane, None, len(request.audio) / SAMPLE_RATE),
            size=arguments.batch_size,
            wait_seconds=0.0,
        )

    def warm_up(self) -> None:
        """Align one word; wav2vec2 loads a language when it is first asked for one."""
        if self.arguments.alignment_model == "ctc_phoneme":
            silence = np.zeros(SAMPLE_RATE, dtype=np.int16)
            self.engine.align([AlignmentRequest(silence, "ready", "en")])

    async def timing(self, language: str) -> WordTiming | None:
        """How words of this language are timed; None: not here."""
        timing: WordTiming | None = self.engine.timing(language)
        return timing

    @served
    async def align(self, request: AlignmentRequest) -> tuple[Word, ...]:
        """Word times of one window."""
        return await self._align(request)
