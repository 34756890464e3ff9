"""The ports over replicas and engines in this process: for bulk actors, benches and tests."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from serving import assembly, busy, ports
from serving.arguments import SpeechArguments
from serving.busy import taken
from serving.deployments.aligner import Aligner
from serving.deployments.speaker_embedder import SpeakerEmbedder
from serving.deployments.speaker_segmenter import SpeakerSegmenter
from serving.deployments.transcriber import Transcriber
from serving.errors import EngineFailed, SpeechError
from serving.speech import (
    LIVE,
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

    def prepare(
        self,
        source: MediaSource,
        lane: str = LIVE,  # noqa: ARG002 - nobody waits here
    ) -> AsyncGenerator[DecodedBlock | Preparation]:
        """Decode block by block."""
        return drain(self._decoder.prepare(source))


class _Replica:
    """A replica in this process, asked as over a handle: a call per item, batched in there."""

    def __init__(self, replica: Any) -> None:
        self._replica = replica

    async def _each(self, method: str, items: Sequence[Any], *more: Any) -> list[Any]:
        """One call per item, all at once; an item's own SpeechError stands in its place."""
        calls = [getattr(self._replica, method)(item, *more) for item in items]
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [_verdict(result) for result in results]

    async def _all(self, method: str, items: Sequence[Any], *more: Any) -> list[Any]:
        """The same; one item's SpeechError is that of all."""
        results = await self._each(method, items, *more)
        for result in results:
            if isinstance(result, SpeechError):
                raise result
        return results


def _verdict(result: Any) -> Any:
    """A result, or what a caller may know of its failure; the replica's log has the rest."""
    if isinstance(result, Exception) and not isinstance(result, SpeechError):
        return EngineFailed()
    if isinstance(result, BaseException) and not isinstance(result, SpeechError):
        raise result
    return taken(result)


class InProcessTranscriber(_Replica):
    """The Transcriber port."""

    async def detect_language(
        self, windows: Sequence[Pcm], lane: str = LIVE
    ) -> list[LanguageGuess]:
        """The language of each window."""
        return await self._all("detect_language", windows, lane)

    async def transcribe(self, requests: Sequence[WindowRequest]) -> list[WindowText | SpeechError]:
        """The text of each window."""
        return await self._each("transcribe", requests)


class InProcessAligner(_Replica):
    """The Aligner port."""

    async def timing(self, language: str) -> WordTiming | None:
        """How words of this language are timed."""
        timing: WordTiming | None = await self._replica.timing(language)
        return timing

    async def align(
        self, requests: Sequence[AlignmentRequest]
    ) -> list[tuple[Word, ...] | SpeechError]:
        """Word times of each request."""
        return await self._each("align", requests)


class InProcessSpeakerSegmenter(_Replica):
    """The SpeakerSegmenter port."""

    async def segment(self, spans: Sequence[Pcm], lane: str = LIVE) -> list[SpanSegmentation]:
        """Local speakers of each span."""
        return await self._all("segment", spans, lane)


class InProcessSpeakerEmbedder(_Replica):
    """The SpeakerEmbedder port."""

    async def embed(
        self, spans: Sequence[tuple[Pcm, SpanSegmentation]], lane: str = LIVE
    ) -> list[ports.Embeddings]:
        """One vector per chunk and local speaker."""
        return await self._all("embed", spans, lane)


class InProcessSpeakerClusterer:
    """The SpeakerClusterer port over its engines."""

    def __init__(self, clusterer: Any, grouping: Any) -> None:
        self._clusterer = clusterer
        self._grouping = grouping

    async def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[ports.Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Who spoke when."""
        with busy.timed():
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
    decoder, clusterer, text_embedder = (
        build(arguments)
        for build in (assembly.preparer, assembly.speaker_clusterer, assembly.text_embedder)
    )
    for engine in (decoder, clusterer, text_embedder):
        engine.load()
    return ports.Ports(
        InProcessPreparer(decoder),
        InProcessTranscriber(Transcriber(arguments)),
        InProcessAligner(Aligner(arguments)),
        InProcessSpeakerSegmenter(SpeakerSegmenter(arguments)),
        InProcessSpeakerEmbedder(SpeakerEmbedder(arguments)),
        InProcessSpeakerClusterer(clusterer, assembly.voice_grouping(arguments)),
        InProcessTextEmbedder(text_embedder, arguments.text_embedding_identity),
    )
