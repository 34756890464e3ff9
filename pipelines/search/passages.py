"""Cuts what is said into passages: what search finds, and shows as one place of a recording.

Sentences are packed in order, up to so many words. A passage ends where a turn does, if it is half
full by then and the next turn has no room in it; else at the end of a sentence. So short turns
stand together, with the question that they answer, a long one is cut with an overlap, and none is
less than half full but that of a shorter recording.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

# Where a sentence ends: after Western and Arabic marks at white space, after CJK marks anywhere.
SENTENCE_END = re.compile(
    r"[.!?\u2026\u061f\u06d4\u0964][\"'\u201d\u2019\u00bb)\]]*(?=\s)"
    r"|[\u3002\uff01\uff1f\uff61][\u300d\u300f\u201d\uff09]*|\n"
)
# What counts as a word where words have no spaces between them: each character of Chinese and
# Japanese, six of the scripts of Thai, Lao, Burmese and Khmer. Forty characters of anything else
# are a word at most, so that no passage is endless.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
WORD = re.compile(f"[{_CJK}]|[{_SOUTH_EAST_ASIAN}]{{1,6}}|[^\\s{_CJK}{_SOUTH_EAST_ASIAN}]{{1,40}}")
DECIMALS = 3
"""Of seconds: what rows have."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a transcript, whoever speaks it."""

    start: float
    end: float
    text: str
    speaker: str
    """As shown; empty: nobody knows."""
    speaker_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a transcript."""

    number: int
    """In order, from 0."""
    start: float
    end: float
    text: str
    """Where a turn ends, so does a line of it."""
    speakers: tuple[str, ...]
    """Who speaks in it as shown, in order of the first word."""
    speaker_ids: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A piece of a line that is not cut any further."""

    turn: int
    line: Line
    words: int


def passage_id(media_file_id: uuid.UUID, passage: Passage) -> uuid.UUID:
    """The same in every store, and for as long as place, times, speakers and text are the same."""
    speakers = [str(each) for each in passage.speaker_ids]
    content = json.dumps(
        [passage.number, passage.start, passage.end, speakers, passage.text], ensure_ascii=False
    )
    return uuid.uuid5(media_file_id, hashlib.sha256(content.encode()).hexdigest())


def words_in(text: str) -> int:
    """How many words a text counts as."""
    return sum(1 for _ in WORD.finditer(text))


def cut(lines: Sequence[Line], words: int, overlap: int) -> list[Passage]:
    """Passages of a transcript.

    Args:
        lines: in order; those without a word are left out.
        words: what a passage has at most.
        overlap: about how many of them it begins with again where a turn goes on, at most half of
            `words`.

    Raises:
        ValueError: passages of no words.
    """
    if words < 1:
        raise ValueError("a passage has at least one word")
    overlap = max(0, min(overlap, words // 2))
    groups = _packed(list(_sentences(lines, words, overlap)), words, overlap)
    return [_passage(number, group) for number, group in enumerate(groups)]


def _sentences(lines: Sequence[Line], words: int, overlap: int) -> Iterator[_Sentence]:
    turns = groupby(lines, key=lambda line: (line.speaker_id, line.speaker))
    for turn, (_, spoken) in enumerate(turns):
        for line in spoken:
            for start, end in _spans(line.text, words, overlap):
                piece = _piece(line, start, end)
                if many := words_in(piece.text):
                    yield _Sentence(turn, piece, many)


def _spans(text: str, words: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where each sentence of a line is; one of half a passage and more is cut between words."""
    start = 0
    for end in [*(mark.end() for mark in SENTENCE_END.finditer(text)), len(text)]:
        found = [word.start() for word in WORD.finditer(text, start, end)]
        # In pieces that can be an overlap.
        step = max(1, overlap or words // 2)
        cuts = found[step::step] if len(found) > words / 2 else []
        edges = [start, *cuts, end]
        yield from pairwise(edges)
        start = end


def _piece(line: Line, start: int, end: int) -> Line:
    """A part of a line; when it is said follows from where it stands."""
    text = line.text[start:end].strip()
    if (start, end) == (0, len(line.text)):
        return Line(line.start, line.end, text, line.speaker, line.speaker_id)
    seconds = (line.end - line.start) / len(line.text)
    begins = round(line.start + start * seconds, DECIMALS)
    ends = round(line.start + end * seconds, DECIMALS)
    return Line(begins, ends, text, line.speaker, line.speaker_id)


def _packed(
    sentences: Sequence[_Sentence], words: int, overlap: int
) -> Iterator[Sequence[_Sentence]]:
    left = _words_of_turns(sentences)
    first = used = 0
    for at, sentence in enumerate(sentences):
        turn_begins = at == 0 or sentences[at - 1].turn != sentence.turn
        whole = turn_begins and used >= words / 2
        if used + (left[at] if whole else sentence.words) > words:
            yield sentences[first:at]
            first = at if turn_begins else _overlap(sentences, at, overlap, words)
            used = sum(each.words for each in sentences[first:at])
        used += sentence.words
    while first > 0 and used < words / 2:
        # A passage of a few words is about nothing: the last one begins earlier.
        first -= 1
        used += sentences[first].words
    if sentences:
        yield sentences[first:]


def _words_of_turns(sentences: Sequence[_Sentence]) -> list[int]:
    """For each sentence, how many words its turn has from there on."""
    left: list[int] = []
    for at in reversed(range(len(sentences))):
        goes_on = at + 1 < len(sentences) and sentences[at + 1].turn == sentences[at].turn
        left.append(sentences[at].words + (left[-1] if goes_on else 0))
    return left[::-1]


def _overlap(sentences: Sequence[_Sentence], at: int, overlap: int, words: int) -> int:
    """Where a passage begins that goes on with a turn: at the sentence nearest to `overlap`."""
    first, used = at, 0
    while first > 0 and sentences[first - 1].turn == sentences[at].turn:
        more = sentences[first - 1].words
        if used + more + sentences[at].words > words or used + more / 2 > overlap:
            break
        first, used = first - 1, used + more
    return first


def _passage(number: int, sentences: Sequence[_Sentence]) -> Passage:
    lines = [sentence.line for sentence in sentences]
    turns = groupby(sentences, key=lambda sentence: sentence.turn)
    text = "\n".join(" ".join(each.line.text for each in turn) for _, turn in turns)
    start, end = min(line.start for line in lines), max(line.end for line in lines)
    speakers = dict.fromkeys(line.speaker for line in lines if line.speaker)
    ids = dict.fromkeys(line.speaker_id for line in lines if line.speaker_id is not None)
    return Passage(number, start, end, text, tuple(speakers), tuple(ids))
