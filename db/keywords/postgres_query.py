"""What PostgreSQL is asked for the terms of a query, and by what it ranks what it finds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

from db.keywords.marks import Pattern, Step
from db.keywords.postgres_vocabulary import Level, Term, Vocabulary

RANKED = 3_000
"""Candidates that are ranked for one question; to read and rank them takes some 50 ms."""
PAIRED = 10
"""Terms that are looked for two by two: the rarest."""
COMMON = 0.5
"""A word in more than this share of an owner's passages need not be in what is found."""
ENOUGH = 100
"""Passages of an owner from which a share says how common a word is."""
FEW_FILES = 100
"""Of so many files, passages with any of the terms are not too many to be ranked."""
FREQUENT = 0.25
"""What more than this share answers, is not looked for in the index of words."""
NEARNESS = 0.1
"""What it counts for that words stand near each other, and as much that they stand as typed."""
FARTHEST = 3
"""Words from one to the next that still count as standing as typed."""

Place = tuple[Term, int]


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a passage is ranked by."""

    question: str
    weight: float
    words: int = 1
    """In the question: PostgreSQL divides by their number."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that passages answer."""

    text: str
    is_frequent: bool = False
    """Whether so many do that to read on until there are enough is faster than an index."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked, one after the other, until enough is found."""

    asked: tuple[Question, ...]
    """The first: passages that have everything. No passage answers two."""
    parts: tuple[Part, ...] = ()
    near: str | None = None
    """Words that are the better the nearer they stand to each other."""
    pairs: tuple[str, ...] = ()
    """Words that are the better for standing as they were typed."""


class Composer:
    """Makes questions of terms, for lexemes that begin with the tag of an owner."""

    def __init__(self, tag: str) -> None:
        self._tag = tag

    def questions(
        self,
        known: Vocabulary,
        phrases: Sequence[Sequence[Place]],
        speakers: Sequence[str],
        files: int | None,
    ) -> Questions | None:
        """What is asked of so many files, or of all; None: no passage can have it."""
        found = [term for term in known.terms if term.levels]
        exact = [term for phrase in known.phrases for term in phrase]
        if not all(term.levels for term in exact) or not (found or exact):
            return None
        telling = _telling(found, known.passages)
        must = [self._sequence(phrase) for phrase in phrases]
        if speakers:
            must.append(self.any_lexeme(speakers))
        ordered = sorted(telling, key=lambda term: term.passages)
        # Passages with the phrases have what counts, whatever else they have.
        less = [()] if phrases else [(one,) for one in self._less(known, ordered, files)]
        return Questions(
            tuple(self._asked(known, ordered, must, less)),
            self._parts(known, [*found, *exact]),
            self._near(telling),
            tuple(self._pairs(known, telling)),
        )

    def lexeme(self, word: str, *, is_beginning: bool = False) -> str:
        """A word of the owner as a question."""
        return f"'{self._tag}{word}'" + (":*" if is_beginning else "")

    def any_lexeme(self, words: Iterable[str]) -> str:
        """The question for any of the owner's lexemes."""
        return any_of(map(self.lexeme, words))

    def _asked(
        self,
        known: Vocabulary,
        ordered: Sequence[Term],
        must: Sequence[str],
        less: Sequence[Sequence[str]],
    ) -> Iterator[Question]:
        """First what has everything, then less of it."""
        if not ordered:
            yield Question(all_of(must))
            return
        everything = all_of(map(self._term, ordered))
        frequent = not must and known.share(ordered) > FREQUENT
        yield Question(all_of([everything, *must]), is_frequent=frequent)
        without = [f"!{everything}"]
        for question in less:
            yield Question(all_of([*question, *must, *without]))
            without += [f"!{one}" for one in question]

    def _less(self, known: Vocabulary, ordered: Sequence[Term], files: int | None) -> Iterator[str]:
        """Passages with some of several terms."""
        if len(ordered) < 2:
            return
        if known.passages <= RANKED or (files is not None and files <= FEW_FILES):
            yield any_of(map(self._term, ordered))
        else:
            yield from self._telling_most(known, ordered)

    def _telling_most(self, known: Vocabulary, ordered: Sequence[Term]) -> Iterator[str]:
        """Passages with what says most of the terms: some alone, some only two together.

        As many as can be ranked; if it is not among these, the rarest term by itself after that.
        """
        alone = [(one,) for one in ordered]
        telling = sorted([*alone, *combinations(ordered[:PAIRED], 2)], key=known.told, reverse=True)
        sizes = accumulate(known.share(one) * known.passages for one in telling)
        chosen = [one for one, size in zip(telling, sizes, strict=True) if size <= RANKED]
        singly = {one for one in chosen if len(one) == 1}
        together = [one for one in chosen if len(one) == 1 or not singly & {(one[0],), (one[1],)}]
        yield any_of(all_of(map(self._term, one)) for one in together or telling[:1])
        if alone[0] not in singly:
            yield self._term(ordered[0])

    def _parts(self, known: Vocabulary, ranked: Sequence[Term]) -> tuple[Part, ...]:
        information = {term: known.information(term) for term in ranked}
        total = sum(information.values()) or 1.0
        return tuple(
            self._part(term, level, information[term] / total)
            for term in information
            for level in term.levels
        )

    def _part(self, term: Term, level: Level, weight: float) -> Part:
        question = self._run(term) if term.is_run else self._level(level)
        words = 1 if term.is_run else len(level.words) + (level.beginning is not None)
        return Part(question, weight * level.weight, words)

    def _near(self, telling: Sequence[Term]) -> str | None:
        likeliest = [self._likeliest(term) for term in telling if not term.is_run]
        return " & ".join(likeliest) if len(likeliest) > 1 else None

    def _pairs(self, known: Vocabulary, telling: Sequence[Term]) -> Iterator[str]:
        placed = [(place, term) for place, term in enumerate(known.terms) if term in telling]
        for (before, one), (place, other) in pairwise(placed):
            if place - before <= FARTHEST and not (one.is_run or other.is_run):
                yield f"{self._term(one)} <{place - before}> {self._term(other)}"

    def _likeliest(self, term: Term) -> str:
        level = term.levels[0]
        if level.words:
            return self.lexeme(level.words[0])
        return self.lexeme(level.beginning or "", is_beginning=True)

    def _term(self, term: Term) -> str:
        if term.is_run:
            return self._run(term)
        return any_of(self._level(level) for level in term.levels)

    def _run(self, term: Term) -> str:
        return f"({' <-> '.join(map(self.lexeme, term.parts))})"

    def _level(self, level: Level) -> str:
        found = [self.lexeme(word) for word in level.words]
        if level.beginning is not None:
            found.append(self.lexeme(level.beginning, is_beginning=True))
        return any_of(found)

    def _sequence(self, phrase: Sequence[Place]) -> str:
        placed = list(_placed(phrase))
        question = self.lexeme(placed[0].word, is_beginning=placed[0].is_beginning)
        for before, step in pairwise(placed):
            found = self.lexeme(step.word, is_beginning=step.is_beginning)
            question += f" <{step.after - before.after}> {found}"
        return f"({question})"


def _telling(found: Sequence[Term], passages: int) -> list[Term]:
    """The terms that say something, if there are any: `the` need not be in what is found."""
    if passages < ENOUGH:
        return list(found)
    return [term for term in found if term.passages <= COMMON * passages] or list(found)


def pattern(known: Vocabulary, phrases: Sequence[Sequence[Place]]) -> Pattern:
    """What is marked of a passage that was found."""
    telling = _telling([term for term in known.terms if term.levels], known.passages)
    levels = [level for term in telling if not term.is_run for level in term.levels]
    runs = [[(term, 0)] for term in telling if term.is_run]
    return Pattern(
        frozenset(word for level in levels for word in level.words),
        tuple(level.beginning for level in levels if level.beginning is not None),
        tuple(tuple(_placed(sequence)) for sequence in [*runs, *phrases]),
    )


def _placed(sequence: Sequence[Place]) -> Iterator[Step]:
    """Each part of each term, with its place after the first."""
    first = sequence[0][1]
    for term, place in sequence:
        for number, part in enumerate(term.parts):
            yield Step(part, place - first + number, is_beginning=term.open_ended)


def any_of(questions: Iterable[str]) -> str:
    """The question that is answered by what answers one of these."""
    found = list(questions)
    return found[0] if len(found) == 1 else f"({' | '.join(found)})"


def all_of(questions: Iterable[str]) -> str:
    """The question that is answered by what answers all of these."""
    found = list(questions)
    return found[0] if len(found) == 1 else f"({' & '.join(found)})"
