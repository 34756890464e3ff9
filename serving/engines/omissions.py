"""Windows of which Whisper left out a part: told by too little text, heard again in halves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serving.engines.decoding_guards import MAX_TOKENS, Decoding, GuardOptions, find_doubt
from serving.speech import SAMPLE_RATE, WindowRequest

QUIET_SAMPLES = SAMPLE_RATE // 5
"""Windows are divided in the middle of the quietest fifth of a second of their middle third."""


@dataclass(frozen=True, slots=True)
class OmissionOptions:
    """Measured on 40 minutes of clips strung together (`tests/models/test_omissions.py`)."""

    min_tokens_per_second: float = 2.4
    """Less text than this for a second of speech, and some may be missing. Windows that had lost a
    sentence or more came at 0.6 to 2.3; the slowest complete ones of the project's recordings
    (English, French, Spanish, Mandarin) at 2.3 to 2.9. One of these is heard again for nothing."""
    min_speech_seconds: float = 5.0
    """In less speech than this, one long "Well…" makes any rate."""
    min_gain: float = 1.2
    """The halves are kept if they have so many times the tokens: a sentence more, not a comma."""


def leaves_out(reading: Decoding, speech_seconds: float | None, options: OmissionOptions) -> bool:
    """Whether there is so little text that some of the speech may be missing from it."""
    if speech_seconds is None or speech_seconds < options.min_speech_seconds:
        return False
    return len(reading.tokens) < options.min_tokens_per_second * speech_seconds


def halves(request: WindowRequest) -> tuple[WindowRequest, WindowRequest]:
    """The window in two, divided where its middle third is quietest.

    Of its speech each has its share by length: where it lies is not known here.
    """
    cut, speech = _quietest(request), request.speech_seconds
    first, second = (
        replace(
            request,
            audio=part,
            speech_seconds=None if speech is None else speech * len(part) / len(request.audio),
        )
        for part in (request.audio[:cut], request.audio[cut:])
    )
    return first, second


def _quietest(request: WindowRequest) -> int:
    third = len(request.audio) // 3
    middle = request.audio[third : 2 * third].astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(np.abs(middle))])
    width = min(QUIET_SAMPLES, len(middle))
    loudness = sums[width:] - sums[:-width]
    return third + int(np.argmin(loudness)) + width // 2


def fuller(
    whole: Decoding,
    parts: Sequence[Decoding],
    decode: Callable[[list[int]], str],
    options: OmissionOptions,
    guards: GuardOptions,
) -> Decoding:
    """The reading to keep: of the window, or of its halves if these say clearly more.

    A half that is doubtful by itself (text over silence, a loop) adds nothing.

    Args:
        whole: the reading of the window.
        parts: those of its halves.
        decode: text of tokens.
        options: how much more is clearly more.
        guards: what is doubtful.
    """
    sure = [part for part in parts if part.text and find_doubt(part, None, guards) is None]
    tokens = tuple(token for part in sure for token in part.tokens)
    if not options.min_gain * len(whole.tokens) <= len(tokens) <= MAX_TOKENS or not sure:
        return whole
    return Decoding(
        tokens,
        decode(list(tokens)).strip(),
        float(np.average([p.avg_logprob for p in sure], weights=[len(p.tokens) for p in sure])),
        min(part.no_speech_prob for part in sure),
    )
