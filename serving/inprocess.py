"""The ports over engines in this process: for bulk actors, benches and tests."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from serving import assembly, ports
from serving.arguments import SpeechArguments
from serving.errors import SpeechError
from serving.speech import (
    AlignmentRequest,
    DecodedBlock,
    Diarization,
    LanguageGuess,
    MediaProbe,
    MediaSource,
    MuxRequest,
    Pcm,
    Preparation,
    SpanSegmentation,
    SpeakerBounds,
    WindowRequest,
    WindowText,
    Word,
    WordTiming,
)


async def drain(
    blocks: Generator[DecodedBlock | Preparation],
) -> AsyncGenerator[DecodedBlock | Preparation]:
    """A blocking generator, advanced in threads; closed (and its programs ended) with this one."""
    step: asyncio.Future[DecodedBlock | Preparation | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, blocks, None))
            # Shielded: a thread cannot be cancelled, and a running generator cannot be closed.
            if (item := await asyncio.shield(step)) is None:
                return
            yield item
    finally:
        if step is not None and not step.done():
            await asyncio.wait([step])
        await asyncio.to_thread(blocks.close)


class InProcessPreparer:
    """The Preparer port over a decoder."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header."""
        probe: MediaProbe = await asyncio.to_thread(self._decoder.probe, source)
        return probe

    async def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video."""
        size: int = await asyncio.to_thread(self._decoder.mux, request)
        return size

    def prepare(self, source: MediaSource) -> AsyncGenerator[DecodedBlock | Preparation]:
        """Decode block by block."""
        return drain(self._decoder.prepare(source))


class InProcessTranscriber:
    """The Transcriber port over an engine, in engine batches."""

    def __init__(self, engine: Any, batch_size: int) -> None:
        self._engine = engine
        self._batch_size = batch_size

    async def detect_language(self, windows: Sequence[Pcm]) -> list[LanguageGuess]:
        """The language of each window."""
        return list(await asyncio.to_thread(self._engine.detect_language, windows))

    async def transcribe(self, requests: Sequence[WindowRequest]) -> list[WindowText | SpeechError]:
        """The text of each window."""
        results: list[WindowText | SpeechError] = []
        for start in range(0, len(requests), self._batch_size):
            batch = requests[start : start + self._batch_size]
            results += await asyncio.to_thread(self._engine.transcribe, batch)
        return results


class InProcessAligner:
    """The Aligner port over an engine."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    async def timing(self, language: str) -> WordTiming | None:
        """How words of this language are timed."""
        timing: WordTiming | None = self._engine.timing(language)
        return timing

    async def align(
        self, requests: Sequence[AlignmentRequest]
    ) -> list[tuple[Word, ...] | SpeechError]:
        """Word times of each request."""
        return list(await asyncio.to_thread(self._engine.align, requests))


class InProcessDiarization:
    """The three diarization ports over their engines."""

    def __init__(self, segmenter: Any, embedder: Any, clusterer: Any, grouping: Any) -> None:
        self._segmenter = segmenter
        self._embedder = embedder
        self._clusterer = clusterer
        self._grouping = grouping

    async def segment(self, spans: Sequence[Pcm]) -> list[SpanSegmentation]:
        """Local speakers of each span."""
        return list(await asyncio.to_thread(self._segmenter.segment, spans))

    async def embed(self, spans: Sequence[tuple[Pcm, SpanSegmentation]]) -> list[ports.Embeddings]:
        """One vector per chunk and local speaker."""
        return list(await asyncio.to_thread(self._embedder.embed, spans))

    async def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[ports.Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Who spoke when."""
        diarization: Diarization = await asyncio.to_thread(
            self._clusterer.cluster, segmentations, embeddings, bounds
        )
        return diarization

    async def group(
        self,
        voices: ports.Voiceprints,
        recordings: ports.Numbers,
        apart: ports.Numbers,
        threshold: float,
    ) -> ports.Numbers:
        """Which voices are one person's."""
        groups: ports.Numbers = await asyncio.to_thread(
            self._grouping.group, voices, recordings, apart, threshold
        )
        return groups


class InProcessTextEmbedder:
    """The TextEmbedder port over an engine."""

    def __init__(self, engine: Any, model: str) -> None:
        self._engine = engine
        self._model = model

    async def embed(self, texts: Sequence[str]) -> ports.TextEmbeddings:
        """One vector per text."""
        vectors = await asyncio.to_thread(self._engine.embed, texts)
        return ports.TextEmbeddings(self._model, vectors)


def create_ports(arguments: SpeechArguments) -> ports.Ports:
    """Load every engine here and put the ports over them."""
    engines = [build(arguments) for build in assembly.BUILDERS.values()]
    for engine in engines:
        engine.load()
    decoder, transcriber, aligner, segmenter, embedder, clusterer, text_embedder = engines
    grouping = assembly.voice_grouping(arguments)
    diarization = InProcessDiarization(segmenter, embedder, clusterer, grouping)
    return ports.Ports(
        InProcessPreparer(decoder),
        InProcessTranscriber(transcriber, arguments.batch_size),
        InProcessAligner(aligner),
        diarization,
        diarization,
        diarization,
        InProcessTextEmbedder(text_embedder, arguments.text_embedding_identity),
    )
