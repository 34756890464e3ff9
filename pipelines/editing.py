"""What an edit makes of lines of a transcript: new text, another speaker, split, merged. Pure.

The words of a line that was edited always join to its text, and their times lie in order within it.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from rapidfuzz.distance import Levenshtein

from pipelines.errors import EditRefused
from pipelines.stages.attribute import is_unspaced, joined
from serving.speech import Doubt, Segment, Word

CERTAIN = 1.0
"""Probability of a word that a person wrote."""

MAX_LINE_CHARACTERS = 10_000
"""Ten minutes of speech: nobody edits a longer line as one, and each edit reads all of it."""

CLOSING = frozenset("。，、；：！？）」』】〉》")  # noqa: RUF001 - CJK punctuation
OPENING = frozenset("（「『【〈《")  # noqa: RUF001 - CJK punctuation


@dataclass(frozen=True, slots=True)
class Line:
    """A stored segment."""

    id: uuid.UUID
    segment: Segment
    edited: bool = False


def tokens(text: str) -> list[str]:
    """The words of a text; in scripts without spaces each character with its punctuation is one."""
    return [token for run in text.split() for token in _cut(run)]


def _cut(run: str) -> Iterator[str]:
    if run.isascii():
        yield run
        return
    start = 0
    for at in range(1, len(run)):
        before, after = run[at - 1], run[at]
        # Only there does `joined` put no space between two words.
        between = is_unspaced(before) and is_unspaced(after)
        if between and before not in OPENING and after not in CLOSING:
            yield run[start:at]
            start = at
    yield run[start:]


def retext(line: Line, text: str) -> Line:
    """The line with another text: words that stay keep their times, the others share the rest.

    Words that replace others share the time of those; words where there were none share the pause.
    That a person wrote or confirmed it ends all doubt.

    Raises:
        EditRefused: the text has no word.
    """
    wanted = tokens(text)
    if not wanted:
        raise EditRefused("the text is empty")
    segment = replace(line.segment, doubt=None)
    if (text := joined(wanted)) != segment.text:
        words = tuple(_aligned(segment, wanted))
        segment = replace(segment, text=text, words=words)
    return _edited(line, segment)


def assign(line: Line, speaker: str | None) -> Line:
    """The line, and each of its words, as somebody else's or nobody's."""
    words = tuple(replace(word, speaker=speaker) for word in line.segment.words)
    return _edited(line, replace(line.segment, speaker=speaker, words=words))


def split(line: Line, at: int, new_id: uuid.UUID) -> tuple[Line, Line]:
    """Two lines, of which the second begins with word `at` and has the new id.

    Where words have speakers of their own, each line belongs to whoever says most of it.

    Raises:
        EditRefused: one of the lines would have no word.
    """
    words = spoken(line.segment)
    if not 0 < at < len(words):
        raise EditRefused(
            f"a line of {len(words)} words is split before word 1 to {len(words) - 1}, not {at}"
            if len(words) > 1
            else "a line of one word cannot be split"
        )
    first, second = words[:at], words[at:]
    segment = line.segment
    end = _within(segment, max(word.end for word in first))
    start = _within(segment, second[0].start)
    return (
        _edited(line, _part(segment, first, segment.start, end)),
        Line(new_id, _part(segment, second, start, segment.end), edited=True),
    )


def merge(lines: Sequence[Line]) -> Line:
    """One line, with the first one's id, of whoever says most of it; words keep their speakers.

    It is as doubtful as the worst of them.

    Raises:
        EditRefused: there are not two, or they would make a line that is too long.
    """
    if len(lines) < 2:
        raise EditRefused("it takes two lines to merge")
    segments = [line.segment for line in lines]
    if (length := sum(len(segment.text) for segment in segments)) > MAX_LINE_CHARACTERS:
        raise EditRefused(f"a line has at most {MAX_LINE_CHARACTERS} characters, not {length}")
    words = tuple(word for segment in segments for word in spoken(segment))
    doubts: list[Doubt] = [segment.doubt for segment in segments if segment.doubt]
    merged = Segment(
        start=min(segment.start for segment in segments),
        end=max(segment.end for segment in segments),
        text=joined([word.word for word in words]),
        words=words,
        avg_logprob=min(segment.avg_logprob for segment in segments),
        no_speech_prob=max(segment.no_speech_prob for segment in segments),
        compression_ratio=max(segment.compression_ratio for segment in segments),
        temperature=max(segment.temperature for segment in segments),
        speaker=_main_speaker(words, segments[0].speaker),
        doubt=doubts[0] if doubts else None,
    )
    return _edited(lines[0], merged)


def word_at_character(segment: Segment, position: int) -> int:
    """Index of the first word that begins at a position of the text or behind it."""
    words = spoken(segment)
    starts = enumerate(_starts([word.word for word in words]))
    return next((index for index, start in starts if start >= position), len(words))


def word_at_time(segment: Segment, seconds: float) -> int:
    """Index of the first word whose middle is at a moment of the recording or after it."""
    words = spoken(segment)
    middles = enumerate((word.start + word.end) / 2 for word in words)
    return next((index for index, middle in middles if middle >= seconds), len(words))


def spoken(segment: Segment) -> tuple[Word, ...]:
    """The words; those of a line that came without share its time."""
    if segment.words:
        return segment.words
    return tuple(_spread(tokens(segment.text), segment.start, segment.end, (segment.speaker,)))


def _starts(words: Sequence[str]) -> Iterator[int]:
    """Where in the joined text each word begins."""
    at, before = 0, ""
    for word in words:
        at += len(joined([before[-1:], word[:1]])) - len(before[-1:]) - 1 if before else 0
        yield at
        at, before = at + len(word), word


def _edited(line: Line, segment: Segment) -> Line:
    return line if segment == line.segment else Line(line.id, segment, edited=True)


def _within(segment: Segment, seconds: float) -> float:
    return max(segment.start, min(segment.end, seconds))


def _part(segment: Segment, words: tuple[Word, ...], start: float, end: float) -> Segment:
    return replace(
        segment,
        start=start,
        end=end,
        text=joined([word.word for word in words]),
        words=words,
        speaker=_main_speaker(words, segment.speaker),
    )


def _main_speaker(words: Sequence[Word], otherwise: str | None) -> str | None:
    """Who says most; words without a speaker do not count."""
    seconds: dict[str, float] = {}
    for word in words:
        if word.speaker is not None:
            seconds[word.speaker] = seconds.get(word.speaker, 0.0) + word.end - word.start
    # To the millisecond, as words are timed: of those who say as much, the first one.
    return max(seconds, key=lambda label: round(seconds[label], 3)) if seconds else otherwise


def _aligned(segment: Segment, wanted: Sequence[str]) -> Iterator[Word]:
    """The wanted words with times from those that were there."""
    old = [piece for word in spoken(segment) for piece in _pieces(word)]
    if not old:
        yield from _spread(wanted, segment.start, segment.end, (segment.speaker,))
        return
    for before, after, same in _blocks([word.word for word in old], wanted):
        there = old[before.start : before.stop]
        if same:
            yield from there
        elif len(before) == len(after):
            for word, text in zip(there, wanted[after.start : after.stop], strict=True):
                yield replace(word, word=text, probability=CERTAIN)
        else:
            start, end = _room(segment, old, before)
            beside = [old[max(0, before.start - 1)]]
            speakers = [word.speaker for word in there or beside]
            yield from _spread(wanted[after.start : after.stop], start, end, speakers)


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[range, range, bool]]:
    """What of the one became what of the other, and whether it stayed the same."""
    changed: tuple[int, int] | None = None
    for step in Levenshtein.opcodes(old, new):
        if step.tag != "equal":
            changed = changed or (step.src_start, step.dest_start)
            continue
        if changed:
            yield range(changed[0], step.src_start), range(changed[1], step.dest_start), False
            changed = None
        yield range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), True
    if changed:
        yield range(changed[0], len(old)), range(changed[1], len(new)), False


def _room(segment: Segment, words: Sequence[Word], taken: range) -> tuple[float, float]:
    """The time of the words that are replaced, or the pause where there were none."""
    following = words[taken.stop].start if taken.stop < len(words) else segment.end
    if taken:
        start = words[taken[0]].start
        return start, max(start, min(following, max(words[at].end for at in taken)))
    before = words[taken.start - 1].end if taken.start else segment.start
    return min(before, following), following


def _pieces(word: Word) -> Iterator[Word]:
    texts = tokens(word.word)
    if texts == [word.word]:
        return iter((word,))
    pieces = _spread(texts, word.start, word.end, (word.speaker,))
    return (replace(piece, probability=word.probability) for piece in pieces)


def _spread(
    texts: Sequence[str], start: float, end: float, speakers: Sequence[str | None]
) -> Iterator[Word]:
    """Words that share an interval by their lengths, and the speakers in their order."""
    ends = list(accumulate(len(text) for text in texts))
    edges = [start, *(start + (end - start) * at / ends[-1] for at in ends[:-1]), end]
    for index, text in enumerate(texts):
        speaker = speakers[index * len(speakers) // len(texts)]
        yield Word(edges[index], edges[index + 1], text, CERTAIN, speaker)
