"""What a stage may ask of the models: async protocols, owned here, with two adapters.

`serving.client` asks Serve deployments (online); `serving.inprocess` holds their replicas in this
process (bulk, tests). Ports take lists: both fan out one call per item, and the replica batches
across callers. An item that fails alone comes back as the `SpeechError` in its place; a call that
fails as a whole raises. `lane` is one of `serving.speech.LANES`: who goes first in the replica.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from serving.errors import SpeechError
from serving.language import Generation, GenerationRequest, LlmConnection
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

Embeddings = npt.NDArray[np.float32]
"""Shape (chunks, local speakers, dimension); NaN where a local speaker has too little speech."""

Voiceprints = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]


class Preparer(Protocol):
    """Reads media in a sandbox."""

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header; raise MediaInvalid, NoAudio, … where it is unacceptable."""
        ...

    async def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video, and the result to its URL; the result's bytes."""
        ...

    def prepare(
        self, source: MediaSource, lane: str = LIVE
    ) -> AsyncGenerator[DecodedBlock | Preparation]:
        """Decode block by block; the last item is the Preparation."""
        ...


class Transcriber(Protocol):
    """Speech to text, window by window."""

    async def detect_language(
        self, windows: Sequence[Pcm], lane: str = LIVE
    ) -> list[LanguageGuess]:
        """The language of each window."""
        ...

    async def transcribe(self, requests: Sequence[WindowRequest]) -> list[WindowText | SpeechError]:
        """The text of each window."""
        ...


class Aligner(Protocol):
    """Known text to word times."""

    async def timing(self, language: str) -> WordTiming | None:
        """How words of this language are timed; None: this aligner does not know the language."""
        ...

    async def align(
        self, requests: Sequence[AlignmentRequest]
    ) -> list[tuple[Word, ...] | SpeechError]:
        """Every word of each request's text, timed, in order, inside the window."""
        ...


class SpeakerSegmenter(Protocol):
    """Audio of spans to local speaker activity."""

    async def segment(self, spans: Sequence[Pcm], lane: str = LIVE) -> list[SpanSegmentation]:
        """Local speakers of each span."""
        ...


class SpeakerEmbedder(Protocol):
    """Local speakers to vectors."""

    async def embed(
        self, spans: Sequence[tuple[Pcm, SpanSegmentation]], lane: str = LIVE
    ) -> list[Embeddings]:
        """One vector per chunk and local speaker of each span."""
        ...


class SpeakerClusterer(Protocol):
    """Vectors of a whole recording to speakers; speakers of a whole library to persons."""

    async def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Who spoke when in the whole recording; spans in order."""
        ...

    async def group(
        self, voices: Voiceprints, recordings: Numbers, apart: Numbers, threshold: float
    ) -> Numbers:
        """Which voices of a library are one person's: the number of each one's group, -1 for alone.

        Args:
            voices: unit vectors of one model, (n, dimension).
            recordings: of each voice, (n,); voices of one recording are never in one group.
            apart: pairs of indices that are never in one group, (k, 2).
            threshold: the least mean cosine of groups that are joined.
        """
        ...


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """Vectors of texts, and of which model they are: those of different ones are not compared."""

    model: str
    """Identity of the model and its weights."""
    vectors: npt.NDArray[np.float32]
    """Unit vectors, shape (texts, dimension)."""


class TextEmbedder(Protocol):
    """Texts to vectors that say what they are about."""

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        """One vector per text; of none, shape (0, dimension): how one learns which model it is.

        Of a long text only the beginning counts: as much as the model reads.
        """
        ...


class LanguageModel(Protocol):
    """Text to text: one model at one provider."""

    @property
    def connection(self) -> LlmConnection:
        """Where it is reached; what it can take."""
        ...

    def stream(self, request: GenerationRequest) -> AsyncGenerator[str | Generation]:
        """The answer piece by piece as it is made; the last item is the whole Generation.

        Raises (while it is read):
            LlmUnavailable: nobody answers, or the answer broke off, also when asked again.
            LlmRateLimited: the provider wants fewer calls, also after pauses.
            LlmUnauthorised: it does not take the key.
            LlmRefused: the model, or its provider's filter, will not answer this.
            ContextExceeded: prompt and answer do not fit into the context; nothing was cut.
            LlmFailed: it cannot do what it was asked, such as a model that it does not have.
        """
        ...

    async def generate(self, request: GenerationRequest) -> Generation:
        """The answer, whole; raises as `stream` does."""
        ...

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, by the model's own tokenizer where there is one to ask.

        Else an estimate that is rather too high.
        """
        ...

    async def models(self) -> list[str]:
        """Names of the models that the provider offers; raises as `stream` does."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports a plan may ask."""

    preparer: Preparer
    transcriber: Transcriber
    aligner: Aligner
    segmenter: SpeakerSegmenter
    embedder: SpeakerEmbedder
    clusterer: SpeakerClusterer
    text_embedder: TextEmbedder
