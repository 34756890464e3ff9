"""A search in PostgreSQL from query to hits: files, vocabulary, candidates, marks."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from db.keywords import postgres_query as composing
from db.keywords import postgres_reading as reading
from db.keywords import postgres_rows as rows
from db.keywords import postgres_vocabulary as vocabulary
from db.keywords.marks import Pattern
from db.keywords.port import KeywordHit, KeywordQuery, Span
from db.keywords.postgres_reading import Found


@dataclass(frozen=True, slots=True)
class Result:
    """What was found, best first, and what is marked of it."""

    found: Sequence[Found] = ()
    pattern: Pattern = field(default_factory=Pattern)

    def hits(self) -> list[KeywordHit]:
        """The passages with their marks; half a thousand take some 20 ms."""
        titles = {one.row.title for one in self.found}
        matched = {title for title in titles if self.pattern.spans(title)}
        return [
            _hit(one, self.pattern.spans(one.row.body), title_matched=one.row.title in matched)
            for one in self.found
        ]


async def search(
    session: AsyncSession, number: int, *, owner_id: uuid.UUID, query: KeywordQuery, limit: int
) -> Result:
    """The owner's passages that match."""
    await reading.plan(session)
    within = await reading.matching(session, number, owner_id, query.filters)
    if within is not None and not within:
        return Result()
    speakers = sorted({rows.speaker(name) for name in query.filters.speakers})
    composer = composing.Composer(rows.tag(owner_id))
    if not query.words and not query.phrases:
        if not speakers:
            return Result(await reading.browse(session, number, owner_id, query.filters, limit))
        by = composer.any_lexeme(speakers)
        return Result(await reading.spoken(session, number, owner_id, by, within, limit))
    words = vocabulary.terms(query.words)
    phrases = [steps for phrase in query.phrases if (steps := vocabulary.steps(phrase))]
    if not words and not phrases:
        return Result()
    exact = [[term for term, _ in steps] for steps in phrases]
    known = await vocabulary.look_up(session, number, owner_id, words, exact)
    files = len(within) if within is not None else None
    questions = composer.questions(known, phrases, speakers, files)
    if questions is None:
        return Result()
    found = await reading.find(session, number, owner_id, questions, within, limit)
    return Result(found, composing.pattern(known, phrases))


def _hit(found: Found, marks: tuple[Span, ...], *, title_matched: bool) -> KeywordHit:
    row = found.row
    return KeywordHit(
        id=row.id,
        media_file_id=row.media_file_id,
        number=row.number,
        start=row.start_time,
        end=row.end_time,
        text=row.body,
        speakers=tuple(row.speakers),
        score=found.score,
        marks=marks,
        title_matched=title_matched,
    )
