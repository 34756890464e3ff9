"""Attribute: words and exclusive turns to speakers and sentence-wise segments. Pure."""

import asyncio
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.stages.base import Context, Recording
from serving.speech import Segment, SpeakerTurn, WindowText, Word

SENTENCE_ENDS = frozenset(".?!…。？！؟।")  # noqa: RUF001 - CJK and Arabic full stops
CLOSERS = frozenset("\"'”’)]»」』")  # noqa: RUF001
MAX_PAUSE_SECONDS = 2.0
"""A longer silence ends a segment even inside a sentence."""
MAX_SEGMENT_SECONDS = 20.0
"""A sentence that runs on is cut at the next word: no reader follows a longer line."""
MAX_ISLAND_WORDS = 2
"""So few words of another speaker inside one sentence are a late turn boundary, not a speaker."""
MAX_ISLAND_SECONDS = 0.8

Times = npt.NDArray[np.float64]
"""Seconds, one for each word or turn."""


class Attribute:
    """Words to segments with speakers."""

    name = "attribute"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """The transcript's segments."""
        turns = recording.diarization.exclusive_turns if recording.diarization else ()
        # In a thread: long recordings have a hundred thousand words, and the loop keeps leases.
        segments = await asyncio.to_thread(attributed, recording, turns)
        context.progress(self.name, 1.0, 1.0)
        return {"segments": segments}


def attributed(recording: Recording, turns: Sequence[SpeakerTurn]) -> tuple[Segment, ...]:
    """All segments of a recording."""
    labelled = iter(_labelled([word for words in recording.words for word in words], turns))
    return tuple(
        segment
        for text, words in zip(recording.texts, recording.words, strict=True)
        for segment in segments_of(text, _without_islands(list(islice(labelled, len(words)))))
    )


def speakers_of(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[Word]:
    """Each word with the speaker of the exclusive turn it overlaps most, or of the nearest one."""
    return _without_islands(_labelled(words, turns))


def _labelled(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[Word]:
    if not turns or not words:
        return list(words)
    return [
        Word(word.start, word.end, word.word, word.probability, turns[turn].speaker)
        for word, turn in zip(words, _nearest(words, turns).tolist(), strict=True)
    ]


def _nearest(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> npt.NDArray[np.int64]:
    """Index of the turn that each word overlaps most, or is nearest to: of equal ones the first.

    Turns are in order and disjoint, so that only those from the one before a word to the one after
    it count: they are looked at in step, for all words at once.
    """
    start, end = _times(words)
    starts, ends = _times(turns)
    first = np.maximum(np.searchsorted(ends, start) - 1, 0)
    last = np.minimum(np.searchsorted(starts, end, side="right"), len(turns) - 1)
    best, best_score = first.copy(), np.full(len(words), -np.inf)
    left = np.arange(len(words))
    for step in range(len(turns)):
        left = left[first[left] + step <= last[left]]
        if not len(left):
            break
        turn = first[left] + step
        # Overlap in seconds; negative: the distance between word and turn.
        score = np.minimum(end[left], ends[turn]) - np.maximum(start[left], starts[turn])
        better = score > best_score[left]
        best[left[better]] = turn[better]
        best_score[left[better]] = score[better]
    return best


def _times(spoken: Sequence[Word] | Sequence[SpeakerTurn]) -> tuple[Times, Times]:
    return (
        np.array([one.start for one in spoken], dtype=np.float64),
        np.array([one.end for one in spoken], dtype=np.float64),
    )


def _without_islands(words: list[Word]) -> list[Word]:
    """Give a word or two of a sentence to the speaker of the rest of it.

    Turn boundaries are some tenths of a second off, so the word before or after a change often
    falls to the wrong side; people rarely change in the last word of a sentence.
    """
    smooth: list[Word] = []
    for sentence in _sentences(words):
        runs = [list(run) for _, run in groupby(sentence, key=lambda word: word.speaker)]
        for index, run in enumerate(runs):
            speaker = _surrounding(runs, index)
            if speaker is not None and _is_slip(run):
                run[:] = [replace(word, speaker=speaker) for word in run]
        smooth += [word for run in runs for word in run]
    return smooth


def _sentences(words: Sequence[Word]) -> Iterator[list[Word]]:
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if ends_sentence(word.word):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _is_slip(run: Sequence[Word]) -> bool:
    return len(run) <= MAX_ISLAND_WORDS and run[-1].end - run[0].start <= MAX_ISLAND_SECONDS


def _surrounding(runs: Sequence[Sequence[Word]], index: int) -> str | None:
    """Who speaks around a run of the same sentence: on both sides the same, or at its edge."""
    beside = [runs[i] for i in (index - 1, index + 1) if 0 <= i < len(runs)]
    speakers = {run[0].speaker for run in beside}
    longer = all(len(run) > len(runs[index]) for run in beside)
    return speakers.pop() if len(speakers) == 1 and longer else None


def ends_sentence(word: str) -> bool:
    """Whether a word closes a sentence ("end." and "end.”" do, "3.5" does not)."""
    stripped = word.rstrip("".join(CLOSERS))
    return bool(stripped) and stripped[-1] in SENTENCE_ENDS


def segments_of(text: WindowText, words: Sequence[Word]) -> Iterator[Segment]:
    """The lines of one window: cut at sentence ends, speakers and pauses."""
    if not words:
        return
    line = [words[0]]
    for before, word in pairwise(words):
        if _breaks(line, before, word):
            yield _segment(text, line)
            line = []
        line.append(word)
    yield _segment(text, line)


def _breaks(line: Sequence[Word], before: Word, word: Word) -> bool:
    return (
        ends_sentence(before.word)
        or before.speaker != word.speaker
        or word.start - before.end > MAX_PAUSE_SECONDS
        or word.end - line[0].start > MAX_SEGMENT_SECONDS
    )


def _segment(text: WindowText, words: Sequence[Word]) -> Segment:
    return Segment(
        start=words[0].start,
        end=max(word.end for word in words),
        text=joined([word.word for word in words]),
        words=tuple(words),
        avg_logprob=text.avg_logprob,
        no_speech_prob=text.no_speech_prob,
        compression_ratio=text.compression_ratio,
        temperature=text.temperature,
        speaker=words[0].speaker,
        doubt=text.doubt,
    )


def joined(words: Sequence[str]) -> str:
    """Words as text: with spaces, except between characters of scripts that use none."""
    text = ""
    for word in words:
        if text and not (is_unspaced(text[-1]) and is_unspaced(word[0])):
            text += " "
        text += word
    return text


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script that puts no spaces between words."""
    return unicodedata.east_asian_width(character) in {"W", "F"} and not (
        "\uac00" <= character <= "\ud7a3"  # Hangul is wide, and spaced
    )
