"""Whisper on CTranslate2: windows to text, in batches that mix recordings, languages and tasks."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

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
from serving.engines.memory import Item, within_memory
from serving.engines.omissions import OmissionOptions, fuller, halves, leaves_out
from serving.engines.whisper_encoder import AxisOptions, HeardWindow, WindowEncoder
from serving.engines.whisper_words import SPACELESS, whisper_words
from serving.engines.word_times import settle
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
    kept_encodings: int = 32
    """Windows whose encoder output is kept on a CPU from the question for their language to the one
    for their text (3 MB each with `base`): of a short recording, half of the work."""
    axis: AxisOptions = field(default_factory=AxisOptions)
    guards: GuardOptions = field(default_factory=GuardOptions)
    omissions: OmissionOptions = field(default_factory=OmissionOptions)


class WhisperEngine:
    """Text of windows. A window's text does not depend on what else is in its batch.

    One thread at a time, but for `prepare`.
    """

    def __init__(self, options: WhisperOptions) -> None:
        self.options = options
        self._model: Any = None
        self._tokenizer: Any = None
        self._suppressed: tuple[int, ...] = ()
        self._languages: frozenset[str] = frozenset()
        self._encoder: Any = None
        self._on_cpu = options.device == "cpu"
        # A thread for each part of a batch: two threads for one part leave much of the second idle.
        self._workers = options.threads if self._on_cpu else 1
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="whisper")

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
                cpu_threads=1 if self._on_cpu else options.threads,
                num_workers=self._workers,
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
        self._encoder = WindowEncoder(
            model, on_cpu=self._on_cpu, kept=options.kept_encodings, axis=options.axis
        )
        self._tokenizer = lru_cache(maxsize=None)(tokenizer)
        self._suppressed = get_suppressed_tokens(tokenizer("en", "transcribe"), [-1])
        self._languages = _languages_of(model)

    def warm_up(self) -> None:
        """Decode silence; on a GPU a full batch, with which it takes the memory it will need."""
        size = 1 if self._on_cpu else self.options.batch_size
        request = WindowRequest(np.zeros(SAMPLE_RATE, dtype=np.int16), "en")
        windows = [self.prepare(request)] * size
        limit, way = token_limit(1.0), {"beam_size": self.options.beam_size}
        self._read(self._encoder.encode(windows), [request] * size, limit, way)

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
        batches = self._batches([self._encoder.frames(window) for window in windows])
        work = ([windows[index] for index in batch] for batch in batches)
        guesses: dict[int, LanguageGuess] = {}
        found = self._pool.map(partial(within_memory, self._detect), work)
        for batch, answers in zip(batches, found, strict=True):
            for index, guess in zip(batch, answers, strict=True):
                if isinstance(guess, OutOfMemory):
                    raise guess
                guesses[index] = guess
        return [guesses[index] for index in range(len(windows))]

    def prepare(self, request: WindowRequest) -> HeardWindow:
        """Make the features, which `transcribe` does else; while another batch is decoded."""
        audio = request.audio
        needed = _audio_error(audio) is None and not self._encoder.holds(audio)
        return HeardWindow(request, self._encoder.features(audio) if needed else None)

    def transcribe(
        self, requests: Sequence[WindowRequest | HeardWindow]
    ) -> list[WindowText | SpeechError]:
        """The text of each window; a request that cannot be done is a SpeechError in its place."""
        windows = [w if isinstance(w, HeardWindow) else HeardWindow(w) for w in requests]
        refusals = [self._refusal(window.request) for window in windows]
        asked = [w for w, refusal in zip(windows, refusals, strict=True) if refusal is None]
        batches = self._batches(
            [(batch_group(w.request), self._encoder.frames(w.request.audio)) for w in asked]
        )
        work = ([asked[index] for index in batch] for batch in batches)
        found = self._pool.map(partial(within_memory, self._decode), work)
        texts = {
            index: text
            for batch, answers in zip(batches, found, strict=True)
            for index, text in zip(batch, answers, strict=True)
        }
        ordered = iter([texts[index] for index in range(len(asked))])
        return [next(ordered) if refusal is None else refusal for refusal in refusals]

    def _batches(self, groups: Sequence[Hashable]) -> list[Sequence[int]]:
        """Which items are done together, told the group of each: only those of one group."""
        members: dict[Hashable, list[int]] = {}
        for index, group in enumerate(groups):
            members.setdefault(group, []).append(index)
        return [batch for indices in members.values() for batch in self._shared_out(indices)]

    def _shared_out(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        """Batches of about the same size: one for each worker, if there are enough items."""
        parts = max(-(-len(items) // self.options.batch_size), min(self._workers, len(items)))
        edges = [len(items) * part // parts for part in range(parts + 1)]
        return [items[start:end] for start, end in pairwise(edges)]

    def _refusal(self, request: WindowRequest) -> SpeechError | None:
        """Why a request cannot be done."""
        if request.task not in TASKS:
            return SpeechError(f"unknown task {request.task!r}: one of {', '.join(TASKS)}")
        if request.language not in self._languages:
            return LanguageUnsupported(f"this model does not know {request.language!r}")
        return _audio_error(request.audio)

    def _decode(self, windows: Sequence[HeardWindow]) -> list[WindowText]:
        """One batch, all of one group."""
        requests = [window.request for window in windows]
        limit = token_limit(_seconds(requests[0].audio))
        encoded, readings = self._heard(windows, limit)
        readings = [
            self._completed(request, reading, limit)
            for request, reading in zip(requests, readings, strict=True)
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

    def _heard(self, windows: Sequence[HeardWindow], limit: int) -> tuple[Any, list[Decoding]]:
        """Encoder output of a batch, and what is read from it."""
        encoded = self._encoder.encode(windows)
        requests = [window.request for window in windows]
        first = self._read(encoded, requests, limit, {"beam_size": self.options.beam_size})
        return encoded, [
            self._settled(
                window, reading, limit, partial(self._encoder.whole, encoded, index, window)
            )
            for index, (window, reading) in enumerate(zip(windows, first, strict=True))
        ]

    def _completed(self, request: WindowRequest, reading: Decoding, limit: int) -> Decoding:
        """The reading, or where a part was left out those of the window's halves, and so on."""
        options, guards = self.options.omissions, self.options.guards
        if not leaves_out(reading, request.speech_seconds, options):
            return reading
        parts = halves(request)
        # One by one: their time axes may differ.
        heard = [self._heard([self.prepare(part)], limit)[1][0] for part in parts]
        decode = self._tokenizer(request.language, request.task).decode
        if fuller(reading, heard, decode, options, guards) is reading:
            return reading
        whole = [self._completed(*pair, limit) for pair in zip(parts, heard, strict=True)]
        return fuller(reading, whole, decode, options, guards)

    def _settled(
        self, window: HeardWindow, first: Decoding, limit: int, encode: Callable[[], Any]
    ) -> Decoding:
        """The reading to keep: the first, or where it is doubtful the best of others made alone."""
        guards, readings, request = self.options.guards, [first], window.request
        ways = list(FALLBACKS)
        doubt = find_doubt(first, request.speech_seconds, guards)
        # It did not come to an end, yet is no loop: a script that takes many tokens.
        unfinished = len(first.tokens) >= limit and doubt is not Doubt.repetition
        if doubt is None and not unfinished:
            return first
        if unfinished or not self._encoder.is_whole(request.audio):
            ways.insert(0, {"beam_size": self.options.beam_size})
        encoded = encode()
        for way in ways:
            (reading,) = self._read(encoded, [request], MAX_TOKENS, way)
            if find_doubt(reading, request.speech_seconds, guards) is None:
                return reading
            readings.append(reading)
        return most_likely(readings, guards)

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
            Decoding.of(result, tokenizer)
            for result, tokenizer in zip(results, tokenizers, strict=True)
        ]

    def _word_times(
        self, encoded: Any, requests: Sequence[WindowRequest], readings: Sequence[Decoding]
    ) -> list[tuple[Word, ...]]:
        """Times of the words by the decoder's attention to the audio; one language and task."""
        tokenizer = self._tokenizer(requests[0].language, requests[0].task)
        spaced = tokenizer.language_code not in SPACELESS
        alignments = self._model.find_alignment(
            tokenizer,
            [list(reading.tokens) for reading in readings],
            encoded,
            [math.ceil(_seconds(request.audio) * 100) for request in requests],
        )
        return [
            settle(whisper_words(alignment, spaced=spaced), _seconds(request.audio))
            for request, alignment in zip(requests, alignments, strict=True)
        ]

    def _detect(self, windows: Sequence[Pcm]) -> list[LanguageGuess]:
        """Languages of one batch."""
        encoded = self._encoder.encode(
            [HeardWindow(WindowRequest(window, "")) for window in windows]
        )
        found = self._model.model.detect_language(encoded)
        self._encoder.keep(windows, encoded)
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


def batch_group(request: WindowRequest) -> Hashable:
    """What requests of one batch have in common.

    CTranslate2 takes one limit per batch, and finds word times for one prompt.
    """
    times = (request.language, request.task) if request.word_times else None
    return token_limit(_seconds(request.audio)), times
