"""Judged queries over real calls: what somebody would type, and where in which call it is answered.

`judged_queries.json` holds no text of the calls: a call, from which second to which, and a grade: 2
answers what was asked, 1 is about it. Of what was judged only places are known, so that it can be
asked of passages of any size.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipelines.language.base import Utterance
from tests.fixtures.calls import call_files, read_call

QUERIES = Path(__file__).with_name("judged_queries.json")
ABSENT = "absent"
"""A kind: no call is about it."""
UNTIMED = frozenset({"4469291", "MP3-A"})
"""Most words of these have no times of their own: their sentences get them in proportion."""
ROUNDING = 0.01
"""Seconds by which a time may be off."""
DEPTH = 10
"""Of a ranking, so many places count."""


class Place(NamedTuple):
    """A stretch of a call, in seconds."""

    call: str
    start: float
    end: float

    def covers(self, other: "Place") -> bool:
        """Whether at least half of the other is in it."""
        if self.call != other.call:
            return False
        shared = min(self.end, other.end) - max(self.start, other.start)
        return shared >= -ROUNDING and shared >= (other.end - other.start) / 2 - ROUNDING


@dataclass(frozen=True)
class Answer:
    """A place where a query is answered."""

    place: Place
    grade: int


@dataclass(frozen=True)
class Judged:
    """A query with all its answers, as far as anybody knows."""

    query: str
    kind: str
    answers: Sequence[Answer]


class Scores(NamedTuple):
    """Of one ranking, 0..1."""

    ndcg: float
    """At ten, with grades as gains."""
    recall: float
    """Of the answers, those among the first ten."""
    first: float
    """1 if the first place answers."""


def judged_queries() -> list[Judged]:
    """All of them, in the order of the file."""
    return [
        Judged(
            one["query"],
            one["kind"],
            [Answer(Place(*place), grade) for *place, grade in one["answers"]],
        )
        for one in json.loads(QUERIES.read_text(encoding="utf-8"))
    ]


def halves(queries: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Every second of each kind: settings are tuned by the first half, shown by the other."""
    kinds = dict.fromkeys(one.kind for one in queries)
    grouped = [[one for one in queries if one.kind == kind] for kind in kinds]
    tuned, held = ([one for group in grouped for one in group[half::2]] for half in (0, 1))
    return tuned, held


def calls() -> Mapping[str, Sequence[Utterance]]:
    """The sentences of each call, by its name."""
    found = {path.name.removesuffix(".nlp.gz"): read_call(path) for path in call_files()}
    return {name: list(_spread(said)) if name in UNTIMED else said for name, said in found.items()}


def _spread(said: Sequence[Utterance]) -> Iterator[Utterance]:
    words = [len(one.text.split()) for one in said]
    second, done = said[-1].end / sum(words), 0
    for one, many in zip(said, words, strict=True):
        yield Utterance(one.speaker, done * second, (done + many) * second, one.text)
        done += many


def scores(ranking: Sequence[Place], judged: Judged, everything: Sequence[Place]) -> Scores:
    """Of what was found, best first; an answer counts where it is found first.

    Args:
        everything: all places that could have been found: the best ranking of them is 1.
    """
    gains = _gains(ranking[:DEPTH], judged.answers)
    found = [one for one in judged.answers if any(p.covers(one.place) for p in ranking[:DEPTH])]
    best = _gains(_best(judged.answers, everything), judged.answers)
    return Scores(
        _discounted(gains) / _discounted(best),
        len(found) / len(judged.answers),
        float(bool(gains) and gains[0] > 0),
    )


def _gains(ranking: Sequence[Place], answers: Sequence[Answer]) -> list[int]:
    left = list(answers)
    gains: list[int] = []
    for place in ranking:
        here = [one for one in left if place.covers(one.place)]
        gains.append(max((one.grade for one in here), default=0))
        left = [one for one in left if one not in here]
    return gains


def _best(answers: Sequence[Answer], everything: Sequence[Place]) -> list[Place]:
    """The places with the highest gains, one after the other."""
    left = list(answers)
    best: list[Place] = []
    while left and len(best) < DEPTH:
        wanted = [one for one in everything if any(one.covers(a.place) for a in left)]
        if not wanted:
            break
        # Of equal ones that which leaves most for the next.
        chosen = max(wanted, key=lambda one: _worth(one, left))
        best.append(chosen)
        left = [one for one in left if not chosen.covers(one.place)]
    return best


def _worth(place: Place, answers: Sequence[Answer]) -> tuple[int, int]:
    grades = [one.grade for one in answers if place.covers(one.place)]
    return max(grades), -sum(grades)


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))


def mean(found: Sequence[Scores]) -> Scores:
    """Of several queries, each of which counts the same."""
    return Scores(*(sum(column) / len(found) for column in zip(*found, strict=True)))
