"""Word times that hold together: every word timed, in order, inside the window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.speech import Word

Times = npt.NDArray[np.float64]

BETWEEN_WORDS = 1e-6
"""Letters between two words: nearly none, but interpolation wants positions that grow."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """What an aligner found for one word; `None`: nothing, so `probability` means nothing."""

    word: str
    start: float | None = None
    end: float | None = None
    probability: float = 0.0


def join_pieces(pieces: Sequence[TimedWord]) -> list[TimedWord]:
    """Join what stands between spaces: a piece without a space before it continues the word.

    Whisper's tokenizer makes two words of "ill-disposed"; the text has one.
    """
    words: list[list[TimedWord]] = []
    for piece in pieces:
        if words and not piece.word.startswith(" "):
            words[-1].append(piece)
        else:
            words.append([piece])
    return [
        TimedWord(
            "".join(piece.word for piece in word).strip(),
            word[0].start,
            word[-1].end,
            sum(piece.probability for piece in word) / len(word),
        )
        for word in words
    ]


def settle(found: Sequence[TimedWord], duration: float) -> tuple[Word, ...]:
    """Give every word a time, so that start <= end <= the next start, all in [0, duration].

    Words without a time share the gap between their neighbours in proportion to their length,
    with probability 0: a reader clicks on every word, and a speaker is attributed to it.

    Args:
        found: words in order; times in seconds from the window's start.
        duration: length of the window in seconds.
    """
    times = _clipped(found, duration)
    edges = _interpolated(times.reshape(-1), [len(word.word) for word in found], duration)
    rounded = np.minimum(edges.reshape(-1, 2).round(3), duration)
    return tuple(
        Word(float(start), float(end), word.word, _probability(word))
        for word, (start, end) in zip(found, rounded, strict=True)
    )


def _clipped(found: Sequence[TimedWord], duration: float) -> Times:
    """Known times in [0, duration] and never falling, NaN where unknown; shape (words, 2)."""
    times = np.full((len(found), 2), np.nan)
    for row, word in zip(times, found, strict=True):
        if word.start is not None and word.end is not None:
            row[:] = word.start, max(word.start, word.end)
    known = ~np.isnan(times)
    times[known] = np.maximum.accumulate(np.clip(times[known], 0.0, duration))
    return times


def _interpolated(edges: Times, lengths: list[int], duration: float) -> Times:
    """Fill unknown edges, shape (2 * words,): on an axis of letters, time runs evenly in a gap."""
    steps = np.full(len(edges), BETWEEN_WORDS)
    steps[1::2] = np.maximum(lengths, 1)
    letters = np.cumsum(steps)
    known = ~np.isnan(edges)
    last = letters[-1:] + BETWEEN_WORDS
    positions = np.concatenate([[0.0], letters[known], last])
    times = np.concatenate([[0.0], edges[known], [duration] * len(last)])
    return np.asarray(np.interp(letters, positions, times))


def _probability(word: TimedWord) -> float:
    """The aligner's probability, 0 where it found no time."""
    if word.start is None or word.end is None:
        return 0.0
    return float(np.clip(np.nan_to_num(word.probability), 0.0, 1.0))
