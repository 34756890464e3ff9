"""Which of an owner's words are meant by those of a query: forms, beginnings, typing errors."""

import math
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

from db.keywords import postgres_statements as statements
from db.keywords.postgres_statements import statement
from db.keywords.words import tokens

MOST_TERMS = 64
"""Of a query; what follows is not looked for. Queries of people are cut before they come here."""
MOST_CONTINUATIONS = 50
"""Words that a beginning stands for, where it stands for too many: the most frequent ones."""
MOST_POSTINGS = 50_000
"""Where the words with a beginning are in more passages than this, these are too many."""
MOST_TYPOS = 20
"""Words that a mistyped one may have been: the nearest, of these the most frequent."""
FAMILIAR = 100
"""A word in so many passages is spelled as it was meant."""
ONE_TYPO, TWO_TYPOS = 5, 9
"""Letters of a word from which one error, and two, are forgiven."""
AFTER_ALL = "\U0010ffff"
"""In bytes, what begins with some letters comes before these letters and this."""
CANDIDATES = 200
"""Words that a mistyped one is compared with, letter by letter."""

AS_WRITTEN, OTHER_FORM, BEGINNING, ONE_ERROR, TWO_ERRORS = 1.0, 0.85, 0.7, 0.5, 0.4
"""What a match counts for."""


@dataclass(frozen=True, slots=True)
class Level:
    """Words that match a term equally well."""

    weight: float
    words: tuple[str, ...] = ()
    beginning: str | None = None
    """Every word that begins so."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word that is looked for, or a run of a script without spaces, by its pairs."""

    parts: tuple[str, ...]
    """The word; the pairs, each one character after the other."""
    open_ended: bool = False
    """Whether it may be the beginning of a word."""
    levels: tuple[Level, ...] = ()
    passages: int = 0
    """How many have it: at most, and about."""

    @property
    def is_run(self) -> bool:
        """Whether it is pairs that follow each other."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What an owner's passages say of the terms of a query."""

    passages: int
    """Of the owner."""
    terms: tuple[Term, ...] = ()
    """Of its words."""
    phrases: tuple[tuple[Term, ...], ...] = ()
    """Of each phrase."""

    def information(self, term: Term) -> float:
        """How much it says that a passage has a term: the rarer, the more."""
        return math.log(1 + (self.passages - term.passages + 0.5) / (term.passages + 0.5))

    def told(self, together: Iterable[Term]) -> float:
        """How much it says that a passage has several terms."""
        return sum(map(self.information, together))

    def share(self, together: Iterable[Term]) -> float:
        """Of the passages, that have several terms, if these have nothing to do with each other."""
        return math.prod(term.passages / max(self.passages, 1) for term in together)


@dataclass(slots=True)
class _Found:
    """Words and the passages that have them, by what was asked."""

    forms: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    begun: dict[str, tuple[dict[str, int], int]] = field(default_factory=dict)
    mistyped: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))


def terms(words: Iterable[str]) -> list[Term]:
    """What is looked for by words of a query, of which the last may be a beginning."""
    found = [term for word in words for term, _ in steps(word)]
    if found and not found[-1].is_run:
        found[-1] = replace(found[-1], open_ended=True)
    # One character of a run is a beginning of pairs, wherever it stands.
    known = dict.fromkeys(found)
    return list(known)[:MOST_TERMS]


def steps(text: str) -> list[tuple[Term, int]]:
    """The terms of a text in order, each with its place: a run counts its characters."""
    found: list[tuple[Term, int]] = []
    pairs: list[str] = []
    for place, token in enumerate(tokens(text)):
        if not token.is_pair:
            found.append((Term((token.word,)), place))
        elif token.end - token.start > 1:
            pairs.append(token.word)
        elif pairs:
            # The last character of a run is in its last pair.
            found.append((Term(tuple(pairs)), place - len(pairs)))
            pairs = []
        else:
            found.append((Term((token.word,), open_ended=True), place))
    return found


async def look_up(
    session: AsyncSession,
    number: int,
    owner_id: uuid.UUID,
    words: Sequence[Term],
    phrases: Sequence[Sequence[Term]],
) -> Vocabulary:
    """The terms with the words of the owner that they may stand for."""
    every = [*words, *(term for phrase in phrases for term in phrase)]
    asked = sorted({part for term in every for part in term.parts})
    found, passages = _Found(), 0
    rows = await session.execute(
        statement(statements.FORMS, number), {"words": asked, "owner": owner_id}
    )
    for part, word, count in rows:
        if word:
            found.forms[part][word] = int(count)
        else:
            passages = int(count)
    await _begun(session, number, owner_id, every, found)
    await _mistyped(session, number, owner_id, [t for t in words if _is_doubtful(t, found)], found)
    return Vocabulary(
        passages,
        tuple(_known(term, found, passages) for term in words),
        tuple(tuple(_exact(term, found, passages) for term in phrase) for phrase in phrases),
    )


async def _begun(
    session: AsyncSession, number: int, owner_id: uuid.UUID, every: Iterable[Term], found: _Found
) -> None:
    for word in {term.parts[0] for term in every if term.open_ended}:
        asked = {
            "owner": owner_id,
            "first": word,
            "last": word + AFTER_ALL,
            "most": MOST_CONTINUATIONS,
        }
        rows = (await session.execute(statement(statements.BEGUN, number), asked)).all()
        total = int(rows[0][2]) if rows else 0
        found.begun[word] = ({said: int(count) for said, count, _ in rows}, total)


def _is_doubtful(term: Term, found: _Found) -> bool:
    """Whether it may be a typing error."""
    word = term.parts[0]
    known = sum(found.forms.get(word, {}).values()) + found.begun.get(word, ({}, 0))[1]
    return not term.is_run and errors_forgiven(word) > 0 and known < FAMILIAR


def errors_forgiven(word: str) -> int:
    """How many typing errors a word of this length may have."""
    return (len(word) >= ONE_TYPO) + (len(word) >= TWO_TYPOS)


def _right_at_an_end(word: str) -> int:
    """How many letters are right at the beginning, or else at the end, in spite of errors.

    Two errors may be at both ends; these are not found.
    """
    return len(word) // 3 if errors_forgiven(word) > 1 else (len(word) - 1) // 2


async def _mistyped(
    session: AsyncSession, number: int, owner_id: uuid.UUID, doubtful: Sequence[Term], found: _Found
) -> None:
    if not doubtful:
        return
    words = [term.parts[0] for term in doubtful]
    right = [_right_at_an_end(word) for word in words]
    asked = {
        "owner": owner_id,
        "words": words,
        "heads": [word[:size] for word, size in zip(words, right, strict=True)],
        "tails": [word[::-1][:size] for word, size in zip(words, right, strict=True)],
        "errors": [errors_forgiven(word) for word in words],
        "after": AFTER_ALL,
        "most": CANDIDATES,
    }
    for word, said, count in await session.execute(statement(statements.MISTYPED, number), asked):
        found.mistyped[word][said] = int(count)


def _known(term: Term, found: _Found, passages: int) -> Term:
    """A term with every word that it may stand for, the likeliest first."""
    if term.is_run:
        return _exact(term, found, passages)
    word = term.parts[0]
    forms = found.forms.get(word, {})
    written, other = {word: forms[word]} if word in forms else {}, forms.keys() - {word}
    levels = [Level(AS_WRITTEN, tuple(written)), Level(OTHER_FORM, tuple(sorted(other)))]
    counts = dict(forms)
    if term.open_ended:
        begun, total = found.begun[word]
        levels.append(_beginning(word, begun.keys() - {word}, total))
        counts |= begun
    for errors, weight in ((1, ONE_ERROR), (2, TWO_ERRORS)):
        near = _near(word, found.mistyped.get(word, {}), errors, counts.keys())
        levels.append(Level(weight, tuple(near)))
        # How rare a word is says less of one that is meant than of one that is said.
        counts = counts or near
    count = min(passages, sum(counts.values()))
    return replace(term, levels=_that_find(levels), passages=count)


def _beginning(word: str, continuations: Iterable[str], total: int) -> Level:
    if total > MOST_POSTINGS:
        return Level(BEGINNING, tuple(sorted(continuations)))
    return Level(BEGINNING, beginning=word if total else None)


def _that_find(levels: Iterable[Level]) -> tuple[Level, ...]:
    return tuple(level for level in levels if level.words or level.beginning)


def _near(
    word: str, candidates: dict[str, int], errors: int, others: Iterable[str]
) -> dict[str, int]:
    """The most frequent words that differ by so many errors, if so many are forgiven."""
    if errors > errors_forgiven(word):
        return {}
    known = set(others)
    near = [said for said in candidates if said not in known and distance(word, said) == errors]
    near.sort(key=lambda said: -candidates[said])
    return {said: candidates[said] for said in near[:MOST_TYPOS]}


def _exact(term: Term, found: _Found, passages: int) -> Term:
    """A term that stands for itself; one character of a run, for all pairs that begin with it."""
    word = term.parts[0]
    if term.open_ended:
        begun, total = found.begun[word]
        level = replace(_beginning(word, begun, total), weight=AS_WRITTEN)
        return replace(term, levels=_that_find([level]), passages=min(passages, total))
    # The rarest part says in how many passages they can be together.
    count = min(found.forms.get(part, {}).get(part, 0) for part in term.parts)
    levels = (Level(AS_WRITTEN, term.parts),) if count else ()
    return replace(term, levels=levels, passages=count)


def distance(one: str, other: str) -> int:
    """Typing errors between words: a letter too few, too many, wrong, or one place off."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        now = [row]
        for place, another in enumerate(other, start=1):
            best = min(last[place] + 1, now[-1] + 1, last[place - 1] + (letter != another))
            crossed = one[row - 2 : row] == another + other[place - 2 : place - 1]
            now.append(min(best, before[place - 2] + 1) if crossed and row > 1 < place else best)
        before, last = last, now
    return last[-1]
