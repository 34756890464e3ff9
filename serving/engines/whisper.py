"""Whisper on CTranslate2: windows to text, in batches that mix recordings, languages and tasks."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from serving.engines.decoding_guards import (
    FALLBACKS,
    MAX_TOKENS,
    Decoding,
    GuardOptions,
    find_doubt,
    most_likely,
    token_limit,
)
from serving.engines.word_times import TimedWord, join_pieces, settle
from serving.errors import (
    AudioTooLong,
    AudioTooShort,
    LanguageUnsupported,
    MediaInvalid,
    ModelUnavailable,
    OutOfMemory,
    SpeechError,
)
from serving.speech import (
    SAMPLE_RATE,
    WINDOW_SECONDS,
    Doubt,
    LanguageGuess,
    Pcm,
    Task,
    WindowRequest,
    WindowText,
    Word,
)

WINDOW_SAMPLES = int(WINDOW_SECONDS * SAMPLE_RATE)

TASKS = ("transcribe", "translate")

RUNNERS_UP = 5
"""Languages named in a guess."""

SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages whose words faster-whisper's tokenizer splits by character."""

# faster-whisper's: marks that belong to the word after and to the word before.
PREPENDED = "\"'\u201c\u00bf([{-"
APPENDED = "\"'.\u3002,\uff0c!\uff01?\uff1f:\uff1a\u201d)]}\u3001"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """Which model, where, and how it decodes."""

    model_path: str
    """A CTranslate2 directory, or a name that faster-whisper fetches."""
    device: str = "cpu"
    compute_type: str = "int8"
    threads: int = 2
    batch_size: int = 8
    beam_size: int = 5
    """Measured in tests/models/test_whisper.py."""
    download_root: str | None = None
    guards: GuardOptions = field(default_factory=GuardOptions)


class WhisperEngine:
    """Text of windows. A window's text does not depend on what else is in its batch.

    Audio is always padded to 30 s: a shorter time axis is faster and invents words
    (measured, reference/peers.md B4). One thread at a time.
    """

    def __init__(self, options: WhisperOptions) -> None:
        self.options = options
        self._model: Any = None
        self._tokenizer: Any = None
        self._suppressed: tuple[int, ...] = ()
        self._languages: frozenset[str] = frozenset()

    def load(self) -> None:
        """Load the weights.

        Raises:
            ModelUnavailable: they are missing, or this device cannot compute with `compute_type`.
        """
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        options = self.options
        try:
            model = WhisperModel(
                options.model_path,
                device=options.device,
                compute_type=options.compute_type,
                cpu_threads=options.threads,
                download_root=options.download_root,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelUnavailable(f"Whisper model {options.model_path}: {error}") from error

        def tokenizer(language: str, task: Task) -> Any:
            made = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task, language)
            # The prompt names the language heard; words are split as in the language written.
            made.language_code = "en" if task == "translate" else made.language_code
            return made

        self._model = model
        self._tokenizer = lru_cache(maxsize=None)(tokenizer)
        self._suppressed = get_suppressed_tokens(tokenizer("en", "transcribe"), [-1])
        self._languages = _languages_of(model)

    @property
    def languages(self) -> frozenset[str]:
        """Codes of the languages this model knows: `en` alone for an English-only model."""
        return self._languages

    def detect_language(self, windows: Sequence[Pcm]) -> list[LanguageGuess]:
        """The language of each window, with the runners-up.

        Raises:
            SpeechError: a window is not audio of at most 30 s.
        """
        for window in windows:
            if (error := _audio_error(window)) is not None:
                raise error
        if self._languages == {"en"}:
            return [LanguageGuess("en", 1.0, {"en": 1.0}) for _ in windows]
        guesses: list[LanguageGuess] = []
        for batch in _batches(windows, self.options.batch_size):
            for guess in _within_memory(self._detect, batch):
                if isinstance(guess, OutOfMemory):
                    raise guess
                guesses.append(guess)
        return guesses

    def transcribe(self, requests: Sequence[WindowRequest]) -> list[WindowText | SpeechError]:
        """The text of each window; a request that cannot be done is a SpeechError in its place."""
        answers: dict[int, WindowText | SpeechError] = {}
        groups: dict[Hashable, list[int]] = {}
        for index, request in enumerate(requests):
            error = self._refusal(request)
            if error is None:
                groups.setdefault(_group(request), []).append(index)
            else:
                answers[index] = error
        for indices in groups.values():
            for batch in _batches(indices, self.options.batch_size):
                texts = _within_memory(self._decode, [requests[index] for index in batch])
                answers.update(zip(batch, texts, strict=True))
        return [answers[index] for index in range(len(requests))]

    def _refusal(self, request: WindowRequest) -> SpeechError | None:
        """Why a request cannot be done."""
        if request.task not in TASKS:
            return SpeechError(f"unknown task {request.task!r}: one of {', '.join(TASKS)}")
        if request.language not in self._languages:
            return LanguageUnsupported(f"this model does not know {request.language!r}")
        return _audio_error(request.audio)

    def _decode(self, requests: Sequence[WindowRequest]) -> list[WindowText]:
        """One batch, all of one group."""
        encoded = self._encode([request.audio for request in requests])
        limit = token_limit(_seconds(requests[0].audio))
        first = self._read(encoded, requests, limit, {"beam_size": self.options.beam_size})
        readings = [
            self._settled(request, reading, limit)
            for request, reading in zip(requests, first, strict=True)
        ]
        words: Sequence[tuple[Word, ...] | None] = [None] * len(requests)
        if requests[0].word_times:
            words = self._word_times(encoded, requests, readings)
        return [
            WindowText(
                reading.text,
                reading.avg_logprob,
                reading.no_speech_prob,
                reading.compression_ratio,
                0.0,
                find_doubt(reading, request.speech_seconds, self.options.guards),
                timed,
            )
            for request, reading, timed in zip(requests, readings, words, strict=True)
        ]

    def _settled(self, request: WindowRequest, first: Decoding, limit: int) -> Decoding:
        """The reading to keep: the first, or where it is doubtful the best of others made alone."""
        guards, readings = self.options.guards, [first]
        ways = list(FALLBACKS)
        doubt = find_doubt(first, request.speech_seconds, guards)
        if len(first.tokens) >= limit and doubt is not Doubt.repetition:
            # It did not come to an end, yet is no loop: a script that takes many tokens.
            ways.insert(0, {"beam_size": self.options.beam_size})
        elif doubt is None:
            return first
        encoded = self._encode([request.audio])
        for way in ways:
            (reading,) = self._read(encoded, [request], MAX_TOKENS, way)
            if find_doubt(reading, request.speech_seconds, guards) is None:
                return reading
            readings.append(reading)
        return most_likely(readings, guards)

    def _encode(self, windows: Sequence[Pcm]) -> Any:
        """Encoder output of windows padded with silence to 30 s, as the model was trained."""
        features = [
            self._model.feature_extractor(
                np.pad(window.astype(np.float32) / 32768, (0, WINDOW_SAMPLES - len(window))),
                padding=0,
            )
            for window in windows
        ]
        return self._model.encode(np.stack(features))

    def _read(
        self, encoded: Any, requests: Sequence[WindowRequest], limit: int, way: Mapping[str, float]
    ) -> list[Decoding]:
        """Decode a batch, each item with the prompt of its own language and task."""
        tokenizers = [self._tokenizer(request.language, request.task) for request in requests]
        results = self._model.model.generate(
            encoded,
            [[*tokenizer.sot_sequence, tokenizer.no_timestamps] for tokenizer in tokenizers],
            # CTranslate2 generates at most half of this, Whisper's rule for its 448 positions.
            max_length=2 * limit,
            suppress_tokens=list(self._suppressed),
            return_scores=True,
            return_no_speech_prob=True,
            **way,
        )
        return [
            _decoding(result, tokenizer)
            for result, tokenizer in zip(results, tokenizers, strict=True)
        ]

    def _word_times(
        self, encoded: Any, requests: Sequence[WindowRequest], readings: Sequence[Decoding]
    ) -> list[tuple[Word, ...]]:
        """Times of the words by the decoder's attention to the audio; one language and task."""
        tokenizer = self._tokenizer(requests[0].language, requests[0].task)
        alignments = self._model.find_alignment(
            tokenizer,
            [list(reading.tokens) for reading in readings],
            encoded,
            [math.ceil(_seconds(request.audio) * 100) for request in requests],
        )
        spaced = tokenizer.language_code not in SPACELESS
        return [
            settle(_words(alignment, spaced=spaced), _seconds(request.audio))
            for request, alignment in zip(requests, alignments, strict=True)
        ]

    def _detect(self, windows: Sequence[Pcm]) -> list[LanguageGuess]:
        """Languages of one batch."""
        found = self._model.model.detect_language(self._encode(windows))
        guesses = []
        for tokens in found:
            likeliest = {token[2:-2]: float(p) for token, p in tokens[:RUNNERS_UP]}
            language = next(iter(likeliest))
            guesses.append(LanguageGuess(language, likeliest[language], likeliest))
        return guesses


def _languages_of(model: Any) -> frozenset[str]:
    """The languages whose tokens the model's vocabulary holds."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    if not model.model.is_multilingual:
        return frozenset({"en"})
    known = model.hf_tokenizer.token_to_id
    return frozenset(code for code in _LANGUAGE_CODES if known(f"<|{code}|>") is not None)


def _words(alignment: list[dict[str, Any]], *, spaced: bool) -> list[TimedWord]:
    """faster-whisper's pieces as words; where no spaces are written, its punctuation rule."""
    from faster_whisper.transcribe import merge_punctuations

    if not spaced:
        merge_punctuations(alignment, PREPENDED, APPENDED)
    pieces = [
        TimedWord(item["word"], item["start"], item["end"], float(item["probability"]))
        for item in alignment
        if item["word"].strip()
    ]
    if spaced:
        return join_pieces(pieces)
    return [replace(piece, word=piece.word.strip()) for piece in pieces]


def _seconds(audio: Pcm) -> float:
    return len(audio) / SAMPLE_RATE


def _audio_error(audio: Pcm) -> SpeechError | None:
    """What is wrong with a window's audio."""
    if not isinstance(audio, np.ndarray) or audio.dtype != np.int16 or audio.ndim != 1:
        return MediaInvalid("a window is mono int16 audio at 16 kHz")
    if not len(audio):
        return AudioTooShort("the window is empty")
    if len(audio) > WINDOW_SAMPLES:
        return AudioTooLong(f"the window lasts {_seconds(audio):.2f} s, more than 30 s")
    return None


def _group(request: WindowRequest) -> Hashable:
    """What requests of one batch have in common.

    CTranslate2 takes one limit per batch, and finds word times for one prompt.
    """
    times = (request.language, request.task) if request.word_times else None
    return token_limit(_seconds(request.audio)), times


def _batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _within_memory(
    run: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
) -> list[Result | OutOfMemory]:
    """Run a batch; where memory does not suffice, in halves, and at last item by item."""
    try:
        return [*run(items)]
    except RuntimeError as error:
        # CTranslate2 has no class for it: "CUDA out of memory", "CUDA failed with error out of…".
        if "out of memory" not in str(error).lower():
            raise
        if len(items) == 1:
            return [OutOfMemory(f"one window does not fit: {error}")]
    middle = len(items) // 2
    return _within_memory(run, items[:middle]) + _within_memory(run, items[middle:])


def _decoding(result: Any, tokenizer: Any) -> Decoding:
    """A reading from CTranslate2's result; the average counts the end token, as OpenAI's does."""
    tokens = tuple(result.sequences_ids[0])
    total = result.scores[0] * len(tokens)
    text = tokenizer.decode(list(tokens)).strip()
    return Decoding(tokens, text, total / (len(tokens) + 1), result.no_speech_prob)
