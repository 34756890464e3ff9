"""The ports over Serve handles: fans lists out, unwraps Ray's errors, gives up on silence."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import structlog
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from serving import ports
from serving.busy import taken
from serving.calling import named_after_task
from serving.errors import EngineFailed, SpeechError, SpeechUnavailable
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

log = structlog.get_logger(__name__)

T = TypeVar("T")
Handle = DeploymentHandle[Any]

APPLICATION = "pipelines"
DEPLOYMENTS = {
    "preparer": "Preparer",
    "transcriber": "Transcriber",
    "aligner": "Aligner",
    "speaker_segmenter": "SpeakerSegmenter",
    "speaker_embedder": "SpeakerEmbedder",
    "speaker_clusterer": "SpeakerClusterer",
    "text_embedder": "TextEmbedder",
}
TEXTS = 64
"""Texts in one call: many calls cost time, and one call has one replica."""


def unwrapped(error: BaseException, who: str) -> SpeechError:
    """What really happened: the engine's own verdict, that it broke, or that nobody answered.

    Details stay in the log: they name hosts, paths and statements, and the message is a user's.
    """
    if not isinstance(error, RayTaskError):
        log.warning("no answer", deployment=who, error=repr(error))
        return SpeechUnavailable(f"{who} did not answer.")
    if isinstance(error.cause, SpeechError):
        return error.cause
    log.error("engine failed", deployment=who, error=str(error))
    return EngineFailed()


async def _answer(
    who: str, call: Awaitable[T], timeout_seconds: float, cancel: Callable[[], object]
) -> T:
    """The answer; `cancel` ends the call in its replica when nobody waits for it any more."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call
    except (RayError, RayServeException) as error:
        raise unwrapped(error, who) from error
    except TimeoutError as error:
        cancel()
        raise unwrapped(error, who) from error
    except asyncio.CancelledError as error:
        cancel()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody cancelled us: Ray tells so that the replica's side was cancelled.
        raise unwrapped(error, who) from error


class _Role:
    """One deployment's handle and how long to wait for it."""

    def __init__(self, handle: Handle, who: str, timeout_seconds: float) -> None:
        self._handle = handle
        self._who = who
        self._timeout = timeout_seconds

    async def _call(self, method: str, *arguments: Any) -> Any:
        with named_after_task():
            response = getattr(self._handle, method).remote(*arguments)
        return taken(await _answer(self._who, response, self._timeout, response.cancel))

    async def _each(self, method: str, items: Sequence[Any], *more: Any) -> list[Any]:
        """One call per item, all at once; an item's own SpeechError stands in its place."""
        calls = [self._call(method, item, *more) for item in items]
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, SpeechError):
                raise result
        return results

    async def _all(self, method: str, items: Sequence[Any], *more: Any) -> list[Any]:
        """The same; one item's SpeechError is that of all."""
        results = await self._each(method, items, *more)
        for result in results:
            if isinstance(result, SpeechError):
                raise result
        return results


class ServePreparer(_Role):
    """The Preparer port."""

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header."""
        probe: MediaProbe = await self._call("probe", source)
        return probe

    async def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video."""
        size: int = await self._call("mux", request)
        return size

    async def prepare(
        self, source: MediaSource, lane: str = LIVE
    ) -> AsyncGenerator[DecodedBlock | Preparation]:
        """Decode block by block."""
        with named_after_task():
            stream: Any = self._handle.options(stream=True).prepare.remote(source, lane)
        try:
            while True:
                try:
                    item = await _answer(self._who, anext(stream), self._timeout, stream.cancel)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            stream.cancel()


class ServeTranscriber(_Role):
    """The Transcriber port."""

    async def detect_language(
        self, windows: Sequence[Pcm], lane: str = LIVE
    ) -> list[LanguageGuess]:
        """The language of each window."""
        return await self._all("detect_language", windows, lane)

    async def transcribe(self, requests: Sequence[WindowRequest]) -> list[WindowText | SpeechError]:
        """The text of each window."""
        return await self._each("transcribe", requests)


class ServeAligner(_Role):
    """The Aligner port."""

    async def timing(self, language: str) -> WordTiming | None:
        """How words of this language are timed."""
        timing: WordTiming | None = await self._call("timing", language)
        return timing

    async def align(
        self, requests: Sequence[AlignmentRequest]
    ) -> list[tuple[Word, ...] | SpeechError]:
        """Word times of each request."""
        return await self._each("align", requests)


class ServeSpeakerSegmenter(_Role):
    """The SpeakerSegmenter port."""

    async def segment(self, spans: Sequence[Pcm], lane: str = LIVE) -> list[SpanSegmentation]:
        """Local speakers of each span."""
        return await self._all("segment", spans, lane)


class ServeSpeakerEmbedder(_Role):
    """The SpeakerEmbedder port."""

    async def embed(
        self, spans: Sequence[tuple[Pcm, SpanSegmentation]], lane: str = LIVE
    ) -> list[ports.Embeddings]:
        """One vector per chunk and local speaker."""
        return await self._all("embed", spans, lane)


class ServeSpeakerClusterer(_Role):
    """The SpeakerClusterer port."""

    async def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[ports.Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Who spoke when."""
        diarization: Diarization = await self._call(
            "cluster", list(segmentations), list(embeddings), bounds
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
        groups: ports.Numbers = await self._call("group", voices, recordings, apart, threshold)
        return groups


class ServeTextEmbedder(_Role):
    """The TextEmbedder port."""

    async def embed(self, texts: Sequence[str]) -> ports.TextEmbeddings:
        """One vector per text."""
        parts = [list(texts[start : start + TEXTS]) for start in range(0, len(texts), TEXTS)]
        found: list[ports.TextEmbeddings]
        found = await self._all("embed", parts or [[]])
        if len({one.model for one in found}) > 1:
            # Replicas are being replaced by those of another model.
            raise SpeechUnavailable(f"{self._who} is changing its model.")
        return ports.TextEmbeddings(found[0].model, np.concatenate([one.vectors for one in found]))


def create_ports(handles: Mapping[str, Handle], timeout_seconds: float) -> ports.Ports:
    """The ports over the handles of each role."""

    def role(name: str) -> tuple[Handle, str, float]:
        return handles[name], DEPLOYMENTS[name], timeout_seconds

    return ports.Ports(
        ServePreparer(*role("preparer")),
        ServeTranscriber(*role("transcriber")),
        ServeAligner(*role("aligner")),
        ServeSpeakerSegmenter(*role("speaker_segmenter")),
        ServeSpeakerEmbedder(*role("speaker_embedder")),
        ServeSpeakerClusterer(*role("speaker_clusterer")),
        ServeTextEmbedder(*role("text_embedder")),
    )


def find_handles() -> dict[str, Handle]:
    """Handles of the running application, by role; needs a connection to its Ray."""
    return {
        role: serve.get_deployment_handle(name, APPLICATION) for role, name in DEPLOYMENTS.items()
    }


async def health(
    handles: Mapping[str, Handle], timeout_seconds: float
) -> dict[str, dict[str, Any]]:
    """Each role's own answer, or why there is none, with the seconds it took."""

    async def ask(role: str) -> dict[str, Any]:
        started = time.monotonic()
        try:
            call = handles[role].stats.remote()
            stats = await _answer(DEPLOYMENTS[role], call, timeout_seconds, call.cancel)
        except SpeechError as error:
            return {"status": "down", "error": error.message}
        return {"status": "up", "seconds": round(time.monotonic() - started, 4), "stats": stats}

    roles = list(DEPLOYMENTS)
    return dict(zip(roles, await asyncio.gather(*map(ask, roles)), strict=True))
