"""English word times on a CPU: hama's phoneme CTC model and a Viterbi search over the text."""

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.engines.ctc_viterbi import (
    ANYTHING,
    Indices,
    LogProbs,
    best_path,
    build_chain,
    state_scores,
)
from serving.engines.hama_acoustics import HamaAcoustics
from serving.engines.word_times import TimedWord, settle
from serving.errors import LanguageUnsupported, MediaInvalid, ModelUnavailable, SpeechError
from serving.speech import SAMPLE_RATE, AlignmentRequest, Pcm, Word, WordTiming

FRAME_SAMPLES = 320
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
"""Duration of one column of the model's output."""

WEIGHTS = "assets/asr_waveform.hama"
"""In hama's package; its checksum is in serving/model_entries.py."""

PIECE_SAMPLES = 10 * SAMPLE_RATE
MARGIN_SAMPLES = SAMPLE_RATE // 2
"""The model's time grows with the square of the audio's length: pieces of 10 s, each heard with
half a second around it, take 0.7 of the time of 30 s at once, and move no word by over a frame."""

MAX_SILENT_FRAMES = 25
"""Frames between two phonemes of one word: beyond half a second, one of them was only noise."""

WORD_BOUNDARY, BLANK = "<wb>", "<blank>"

AROUND = re.compile(r"^\W+|\W+$")
"""The punctuation around a word."""

PRONOUNCEABLE = re.compile(r"[a-z][a-z'-]*")
"""What the grapheme-to-phoneme model reads as English; digits it reads as Chinese."""

Tokens = tuple[int, ...]

Heard = Future[LogProbs]
"""A piece of audio that is being heard."""


@dataclass(frozen=True, slots=True)
class CtcPhonemeOptions:
    """How hama's output is read."""

    lead_seconds: float = 0.1
    """CTC peaks late, when a phoneme has been heard: word starts are moved forward by this much,
    the median lag behind pocketsphinx's starts (tests/models/test_alignment.py)."""
    cached_words: int = 50_000
    """Pronunciations kept: finding one takes 5 ms, and speech repeats its words."""
    threads: int = 1
    """Pieces that are heard at once."""


class CtcPhonemeAligner:
    """Aligns English; every word is timed, and keeps its punctuation."""

    def __init__(self, options: CtcPhonemeOptions | None = None) -> None:
        self.options = options or CtcPhonemeOptions()
        self._acoustics: HamaAcoustics | None = None
        self._pronounce: Any = None
        self._tokens: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(self.options.threads, thread_name_prefix="ctc")

    def load(self) -> None:
        """Load hama's acoustic and grapheme-to-phoneme models (the weights are in its wheel)."""
        import hama
        from threadpoolctl import threadpool_limits

        class IndexedVocabulary(hama.Vocabulary):  # type: ignore[misc]
            """hama builds this index anew for every letter, which is most of its time."""

            @cached_property
            def encoder_token_to_id(self) -> dict[str, int]:
                return {token: index for index, token in enumerate(self.encoder)}

        graphemes = hama.G2PModel()
        vocabulary = IndexedVocabulary(graphemes.vocab.encoder, graphemes.vocab.decoder)
        graphemes.tokenizer.vocab = vocabulary
        heard = [*vocabulary.decoder, WORD_BOUNDARY, BLANK]
        self._tokens = {token: index for index, token in enumerate(heard)}
        with resources.as_file(resources.files(hama) / WEIGHTS) as path:
            self._acoustics = HamaAcoustics(path)
        # The sums are small: what a second thread of BLAS does with them is wait, at full speed.
        threadpool_limits(1, user_api="blas")

        def pronounce(word: str) -> Tokens:
            result = graphemes.predict(word, preserve_literals="punct")
            phonemes = [item.phoneme for item in result.alignments]
            return tuple(self._tokens[p] for p in phonemes if p in self._tokens)

        self._pronounce = lru_cache(self.options.cached_words)(pronounce)

    def timing(self, language: str) -> WordTiming | None:
        """English only: the phonemes of other languages were not tried."""
        return WordTiming.ctc_phoneme if language == "en" else None

    def align(self, requests: Sequence[AlignmentRequest]) -> list[tuple[Word, ...] | SpeechError]:
        """Every word of each text (split at spaces), timed; an invalid request fails alone."""
        hear = self._acoustics
        if hear is None:
            raise ModelUnavailable("alignment model not loaded")
        # All are heard ahead: words of one are looked for while the next is heard.
        heard = [self._refusal(request) or self._hear(hear, request) for request in requests]
        return [
            found if isinstance(found, SpeechError) else self._words(request, found)
            for request, found in zip(requests, heard, strict=True)
        ]

    def _refusal(self, request: AlignmentRequest) -> SpeechError | None:
        """Why a request cannot be done."""
        if request.audio.dtype != np.int16 or request.audio.ndim != 1 or not len(request.audio):
            return MediaInvalid("a window is mono int16 audio, and not empty")
        if self.timing(request.language) is None:
            return LanguageUnsupported(f"phoneme alignment does not know {request.language!r}")
        return None

    def _words(self, request: AlignmentRequest, heard: Sequence[Heard]) -> tuple[Word, ...]:
        texts = request.text.split()
        if not texts:
            return ()
        pieces = [piece.result() for piece in heard]
        found = self._search(np.concatenate(pieces, dtype=np.float32), texts)
        return settle(found, len(request.audio) / SAMPLE_RATE)

    def _hear(self, acoustics: HamaAcoustics, request: AlignmentRequest) -> list[Heard]:
        """Log probability of every token in every frame, piece by piece; nothing without a text."""
        audio = request.audio
        starts = range(0, len(audio), PIECE_SAMPLES) if request.text.strip() else ()
        return [self._pool.submit(_hear_piece, acoustics, audio, start) for start in starts]

    def _search(self, heard: LogProbs, texts: list[str]) -> list[TimedWord]:
        """The most probable frames of every word."""
        tokens = [self._phonemes(text) for text in texts]
        chain = build_chain(tokens, self._tokens[BLANK], self._tokens[WORD_BOUNDARY])
        scores = state_scores(heard, chain)
        path = best_path(scores, chain)
        if path is None:
            # Fewer frames than phonemes: this text was not spoken in this audio.
            return [TimedWord(text) for text in texts]
        words = chain.words[path]
        confidence = np.exp(scores[np.arange(len(path)), path])
        # ANYTHING proves nothing, so it counts for nothing.
        confidence[chain.tokens[path] == ANYTHING] = 0
        return [
            self._timed(text, np.flatnonzero(words == index), confidence)
            for index, text in enumerate(texts)
        ]

    def _phonemes(self, text: str) -> Tokens:
        """Tokens of a word: none for bare punctuation, ANYTHING for a number or other script."""
        spoken = AROUND.sub("", text).lower().replace("\u2019", "'")
        if PRONOUNCEABLE.fullmatch(spoken):
            tokens: Tokens = self._pronounce(spoken)
            return tokens or (ANYTHING,)
        return (ANYTHING,) if any(letter.isalnum() for letter in text) else ()

    def _timed(self, text: str, frames: Indices, confidence: npt.NDArray[np.float32]) -> TimedWord:
        """A word from the frames in which its phonemes are."""
        if not len(frames):
            return TimedWord(text)
        runs = np.split(frames, np.flatnonzero(np.diff(frames) > MAX_SILENT_FRAMES) + 1)
        frames = max(runs, key=len)
        start = frames[0] * FRAME_SECONDS - self.options.lead_seconds
        end = (frames[-1] + 1) * FRAME_SECONDS
        return TimedWord(text, start, end, float(confidence[frames].mean()))


def _hear_piece(acoustics: HamaAcoustics, audio: Pcm, start: int) -> LogProbs:
    """A piece, heard with its margins."""
    first = max(0, start - MARGIN_SAMPLES)
    last = min(len(audio), start + PIECE_SAMPLES + MARGIN_SAMPLES)
    heard = acoustics(audio[first:last].astype(np.float32) / np.float32(32768))
    skipped = (start - first) // FRAME_SAMPLES
    return heard[skipped : skipped + PIECE_SAMPLES // FRAME_SAMPLES]
