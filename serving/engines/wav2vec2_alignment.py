"""Word times by WhisperX's own aligner: a character-level wav2vec2 model per language."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.engines.word_times import TimedWord, settle
from serving.errors import LanguageUnsupported, MediaInvalid, ModelUnavailable, SpeechError
from serving.speech import SAMPLE_RATE, AlignmentRequest, Word, WordTiming


@dataclass(frozen=True, slots=True)
class Wav2Vec2Options:
    """Which models, and where they run."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Language code to a folder or a name that WhisperX understands; others: WhisperX's own."""
    defaults: bool = True
    """Whether languages that `models` leaves out use WhisperX's choice, fetched when needed."""
    device: str = "cpu"
    cache_dir: str | None = None
    """Where fetched models are kept; None: where their library likes."""
    max_loaded: int = 2
    """Languages kept in memory (a model takes 0.4 to 4 GB); the least recently used one goes."""


class WholeText:
    """Takes a text for one sentence.

    WhisperX wants sentences from NLTK's data, which it would fetch from the network. A window's
    words need no sentences.
    """

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """One span, the whole text."""
        return [(0, len(text))]


class Wav2Vec2Aligner:
    """Aligns the languages that have a model; every word is timed, and keeps its punctuation."""

    def __init__(self, options: Wav2Vec2Options | None = None) -> None:
        self.options = options or Wav2Vec2Options()
        self._whisperx: Any = None
        self._loaded: OrderedDict[str, tuple[Any, dict[str, Any]]] = OrderedDict()

    def load(self) -> None:
        """Import WhisperX; a language's model is loaded when it is first asked for."""
        from whisperx import alignment

        alignment.nltk_load = lambda _resource: WholeText()
        self._whisperx = alignment

    def timing(self, language: str) -> WordTiming | None:
        """wav2vec2 where the language has a model, else None."""
        known = {*self.options.models}
        if self.options.defaults:
            known |= {*self._library.DEFAULT_ALIGN_MODELS_TORCH}
            known |= {*self._library.DEFAULT_ALIGN_MODELS_HF}
        return WordTiming.wav2vec2 if language in known else None

    def align(self, requests: Sequence[AlignmentRequest]) -> list[tuple[Word, ...] | SpeechError]:
        """Every word of each text, timed; an invalid request fails alone.

        Words are what stands between spaces; in Chinese and Japanese, as in WhisperX, characters.
        """
        return [self._align(request) for request in requests]

    @property
    def _library(self) -> Any:
        """WhisperX's alignment module."""
        if self._whisperx is None:
            raise ModelUnavailable("alignment library not loaded")
        return self._whisperx

    def _align(self, request: AlignmentRequest) -> tuple[Word, ...] | SpeechError:
        if request.audio.dtype != np.int16 or request.audio.ndim != 1 or not len(request.audio):
            return MediaInvalid("a window is mono int16 audio, and not empty")
        if self.timing(request.language) is None:
            return LanguageUnsupported(f"no alignment model for {request.language!r}")
        words = request.text.split()
        if request.language in self._library.LANGUAGES_WITHOUT_SPACES:
            words = [*"".join(words)]
        if not words:
            return ()
        try:
            model = self._model(request.language)
        except ModelUnavailable as error:
            return error
        return settle(self._search(request, model, words), len(request.audio) / SAMPLE_RATE)

    def _search(
        self, request: AlignmentRequest, model: tuple[Any, dict[str, Any]], words: list[str]
    ) -> list[TimedWord]:
        """WhisperX's times; none at all where it gives up or counts other words than we do."""
        network, metadata = model
        separator = "" if request.language in self._library.LANGUAGES_WITHOUT_SPACES else " "
        segment = {
            "start": 0.0,
            "end": len(request.audio) / SAMPLE_RATE,
            "text": separator.join(words),
        }
        result = self._library.align(
            [segment],
            network,
            metadata,
            request.audio.astype(np.float32) / 32768,
            self.options.device,
            interpolate_method="ignore",
        )
        found = result["word_segments"]
        if [item["word"] for item in found] != words:
            return [TimedWord(word) for word in words]
        return [
            TimedWord(word, item.get("start"), item.get("end"), item.get("score", 0.0))
            for word, item in zip(words, found, strict=True)
        ]

    def _model(self, language: str) -> tuple[Any, dict[str, Any]]:
        """The language's network and WhisperX's metadata, loaded once and kept while in use."""
        if language in self._loaded:
            self._loaded.move_to_end(language)
            return self._loaded[language]
        while len(self._loaded) >= self.options.max_loaded:
            self._loaded.popitem(last=False)
        try:
            model = self._library.load_align_model(
                language,
                self.options.device,
                model_name=self.options.models.get(language),
                model_dir=self.options.cache_dir,
            )
        except (OSError, ValueError) as error:
            raise ModelUnavailable(f"alignment model for {language!r}: {error}") from error
        self._loaded[language] = model
        return self._loaded[language]
