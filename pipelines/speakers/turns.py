"""Who speaks when, after people said that words are somebody else's. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from serving.speech import SpeakerTurn
from serving.voiceprints import clean_seconds

Row = Sequence[Any]
"""[start, end, label], in seconds, as `transcript.turns` holds them."""
Interval = tuple[float, float]

DIGITS = 3
"""Turns are kept to the millisecond; what is shorter is rounding noise."""


def merged(turns: Iterable[Row], source: str, target: str) -> list[list[Any]]:
    """One speaker's turns given to another one, whose touching turns become one."""
    others = [list(turn) for turn in turns if turn[2] not in {source, target}]
    theirs = [(turn[0], turn[1]) for turn in turns if turn[2] in {source, target}]
    return _ordered([*others, *([start, end, target] for start, end in union(theirs))])


def without(turns: Iterable[Row], label: str) -> list[list[Any]]:
    """Nobody's turns any more."""
    return [list(turn) for turn in turns if turn[2] != label]


def split(
    turns: Iterable[Row], source: str, target: str, spans: Iterable[Interval]
) -> list[list[Any]]:
    """What of a speaker's turns lies in these spans given to another one."""
    taken = union(spans)
    cut: list[list[Any]] = []
    for start, end, label in turns:
        if label != source:
            cut.append([start, end, label])
            continue
        for piece_start, piece_end, inside in _pieces(start, end, taken):
            cut.append([piece_start, piece_end, target if inside else source])
    return _ordered(cut)


def union(spans: Iterable[Interval]) -> list[Interval]:
    """Spans that neither touch nor overlap, in order."""
    joined: list[Interval] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def seconds(turns: Iterable[Row], label: str) -> tuple[float, float]:
    """How long somebody speaks, and how much of that alone."""
    known = [SpeakerTurn(*turn) for turn in turns]
    in_all = sum(turn.end - turn.start for turn in known if turn.speaker == label)
    return in_all, clean_seconds(known).get(label, 0.0)


def _pieces(start: float, end: float, taken: Sequence[Interval]) -> Iterator[tuple[Any, ...]]:
    at = start
    # Of those that begin before the turn, only the last one can reach into it.
    first = max(0, bisect_right(taken, (start, end)) - 1)
    for left, right in taken[first:]:
        if left >= end:
            break
        if right <= at:
            continue
        yield from _piece(at, left, inside=False)
        yield from _piece(max(at, left), min(end, right), inside=True)
        at = min(end, right)
    yield from _piece(at, end, inside=False)


def _piece(start: float, end: float, *, inside: bool) -> Iterator[tuple[float, float, bool]]:
    start, end = round(start, DIGITS), round(end, DIGITS)
    if end > start:
        yield start, end, inside


def _ordered(turns: list[list[Any]]) -> list[list[Any]]:
    return sorted(turns, key=lambda turn: (turn[0], turn[1], turn[2]))
