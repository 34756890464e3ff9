"""Guards against invented text: how long a window may be decoded, what is doubtful, what to try."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from serving.speech import Doubt

MAX_TOKENS = 444
"""Whisper's 448 positions less the prompt's four."""

BUCKET_SECONDS = 10.0
TOKENS_AT_LEAST = 30
TOKENS_PER_SECOND = 6.5
"""Fast English and Mandarin need about 5; 30 s come to 225 tokens, the reference's limit of 224."""

FALLBACKS: tuple[Mapping[str, float], ...] = (
    MappingProxyType({"beam_size": 5, "no_repeat_ngram_size": 4}),
    MappingProxyType({"beam_size": 5, "repetition_penalty": 1.2}),
    MappingProxyType({"beam_size": 1, "repetition_penalty": 1.2, "no_repeat_ngram_size": 4}),
)
"""What a doubtful window is decoded with again, in turn.

Not temperatures: CTranslate2 seeds its sampler once per thread (its issue 1757), so the same window
would read differently after every restart. On the windows in tests/models/test_hallucination.py
these also do better: sampling at 0.2 and 0.4 mostly falls into the loop again, at 0.8 and 1.0 it
invents."""


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """OpenAI's thresholds, and ours for silence."""

    max_compression_ratio: float = 2.4
    """Text that zlib shrinks by more than this repeats itself."""
    min_avg_logprob: float = -1.0
    silence_probability: float = 0.5
    silence_avg_logprob: float = -0.7
    """Text with more silence and less confidence than these is text over silence or music. OpenAI
    takes 0.6 and -1.0, which lets music pass: Big Buck Bunny's comes at 0.79 and -0.75, 0.55 and
    -0.89 (tiny.en), 0.65 and -1.01 (base); the hardest real speech tried at 0.64 and -0.53."""
    certain_silence_probability: float = 0.9
    """Above this, any text is."""
    min_speech_seconds: float = 0.1
    """A window with less speech than this, by voice activity detection, holds none."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """One reading of a window."""

    tokens: tuple[int, ...]
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float = field(init=False)

    def __post_init__(self) -> None:
        """Work out the compression ratio: bytes of text per byte of zlib."""
        raw = self.text.encode()
        object.__setattr__(self, "compression_ratio", len(raw) / len(zlib.compress(raw)))

    @classmethod
    def of(cls, result: Any, tokenizer: Any) -> Self:
        """From CTranslate2's result; the average counts the end token, as OpenAI's does."""
        tokens = tuple(result.sequences_ids[0])
        total = result.scores[0] * len(tokens)
        text = tokenizer.decode(list(tokens)).strip()
        return cls(tokens, text, total / (len(tokens) + 1), result.no_speech_prob)


def token_limit(seconds: float) -> int:
    """How many tokens a window of this length may take, so that a loop cannot hold its batch.

    Lengths are rounded up to buckets: windows are batched with those of the same limit, because
    beam search with another limit is another search.
    """
    bucket = math.ceil(max(seconds, 1e-3) / BUCKET_SECONDS) * BUCKET_SECONDS
    return min(MAX_TOKENS, TOKENS_AT_LEAST + math.ceil(TOKENS_PER_SECOND * bucket))


def find_doubt(
    decoding: Decoding, speech_seconds: float | None, options: GuardOptions
) -> Doubt | None:
    """Why the text may not be what was said; None: nothing speaks against it.

    Args:
        decoding: the reading.
        speech_seconds: speech in the window by voice activity detection; None: not known.
        options: thresholds.
    """
    if not decoding.text:
        return None
    if decoding.compression_ratio > options.max_compression_ratio:
        return Doubt.repetition
    silence = decoding.no_speech_prob
    unlikely = decoding.avg_logprob < options.silence_avg_logprob
    if (
        (speech_seconds is not None and speech_seconds < options.min_speech_seconds)
        or silence > options.certain_silence_probability
        or (silence > options.silence_probability and unlikely)
    ):
        return Doubt.no_speech
    return Doubt.low_confidence if decoding.avg_logprob < options.min_avg_logprob else None


def most_likely(readings: Sequence[Decoding], options: GuardOptions) -> Decoding:
    """The reading to keep where all are doubtful: the likeliest that does not repeat itself."""
    plain = [r for r in readings if r.compression_ratio <= options.max_compression_ratio]
    return max(plain or readings, key=lambda reading: reading.avg_logprob)
